import { createHash } from 'node:crypto';
import { isUtf8 } from 'node:buffer';

/**
 * Fields of JSON documents whose values are of one run: times, rates, memory, and what is computed from them (`checksum` is that of a
 * checkpoint's state.json, times included; its tensors have `sha256`). They have to be there in both.
 */
const fieldsOfRun = new Set(['seconds', 'waitSeconds', 'imagesPerSecond', 'dataWaitShare', 'peakMemory', 'checksum']);

/** The version of the program; onnxruntime's is compared. */
const isVersion = (path) => path === 'tool.version' || path.endsWith('.tool.version');

/** The same in texts. */
const wordsOfRun = [
  [/\d{4}-\d\d-\d\d(?:T[\d:.]+Z)?/g, '<date>'],
  [/(?:\d+ h )?(?:\d+ min )?\b\d+(?:\.\d+)? (?:ms|s|min)\b/g, '<time>'],
  [/\b[\d.]+(?: [kM])? (?:img|images)\/s/g, '<rate>'],
  [/data wait [\d.<> ]+%/g, 'data wait <share>'],
  // A row of a training's table: images per second, share of waiting, memory, time.
  [/ [\d.]+(?: k)? +[\d.<> ]+% +[\d.]+ [kMG]B +<time>/g, ' <rate> <share> <memory> <time>'],
];

/** A line without what is of one run; columns move with it. */
export function lastingText(line) {
  const lasting = wordsOfRun.reduce((text, [pattern, word]) => text.replace(pattern, word), line);
  return lasting === line ? line : lasting.replace(/ {2,}/g, '  ');
}

/** A sign of life, written where a command is silent for half a minute: a bar and a count, or a count and the time so far. */
const isSignOfLife = (line) => /^[\w -]+ (?:\[[#-]+\] \d+\/\d+|\d+ .*so far)/.test(line);

/** The place of the first element that is not the same in both. */
function firstUnequal(a, b) {
  let at = 0;
  while (at < a.length && a[at] === b[at]) at += 1;
  return at;
}

const shown = (value) => {
  const text = value === undefined ? 'missing' : JSON.stringify(value);
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
};

/** Two lines, or long ones from where they begin to differ. */
function shownLines(a, b) {
  if (a === undefined || b === undefined || Math.max(a.length, b.length) <= 120) return `${shown(a)} and ${shown(b)}`;
  const begin = Math.max(0, firstUnequal(a, b) - 20);
  return `${shown(a.slice(begin))} and ${shown(b.slice(begin))}, from column ${begin + 1} on`;
}

const named = (path) => (path === '' ? 'the document' : path);
const isObject = (value) => typeof value === 'object' && value !== null;

/** Where two JSON values differ, as `path: a and b`. `isOfRun`: only the kinds of values are compared. */
export function jsonDifferences(a, b, path = '', isOfRun = false) {
  if (isObject(a) && isObject(b) && Array.isArray(a) === Array.isArray(b)) {
    const keys = [...new Set([...Object.keys(a), ...Object.keys(b)])];
    const found = keys.flatMap((key) => {
      const at = Array.isArray(a) ? `${path}[${key}]` : `${path}${path === '' ? '' : '.'}${key}`;
      return jsonDifferences(a[key], b[key], at, isOfRun || fieldsOfRun.has(key) || isVersion(at));
    });
    const isInOrder = Object.keys(a).join() === Object.keys(b).join();
    return found.length > 0 || isInOrder ? found : [`${named(path)}: fields in another order`];
  }
  const [left, right] = [a, b].map((value) => (typeof value === 'string' ? lastingText(value) : value));
  if (Object.is(left, right) || (isOfRun && typeof a === typeof b && a !== null && b !== null)) return [];
  return [`${named(path)}: ${shown(a)} and ${shown(b)}`];
}

/** Where two texts differ, line by line. */
export function textDifferences(a, b) {
  const [left, right] = [a, b].map((text) =>
    text
      .split('\n')
      .filter((line) => !isSignOfLife(line))
      .map(lastingText),
  );
  return Array.from({ length: Math.max(left.length, right.length) }, (_, index) => index)
    .filter((index) => left[index] !== right[index])
    .map((index) => `line ${index + 1}: ${shownLines(left[index], right[index])}`);
}

function parsed(bytes) {
  try {
    return JSON.parse(bytes.toString());
  } catch {
    return undefined;
  }
}

function byteDifference(a, b) {
  const [left, right] = [a, b].map(
    (bytes) => `${bytes.length} bytes (sha256 ${createHash('sha256').update(bytes).digest('hex').slice(0, 12)})`,
  );
  return `${left} and ${right}, from byte ${firstUnequal(a, b)} on`;
}

const countLines = (bytes) => bytes.toString().split('\n').length;

/** Where two JSON documents differ, in their bytes too: where what is left is of one run, they have as many lines. */
function documentDifferences(left, right, a, b) {
  const found = jsonDifferences(left, right);
  const [first, second] = [a, b].map(countLines);
  return found.length > 0 || first === second ? found : [`the same document in ${first} and ${second} lines`];
}

/** Where two files or streams differ: JSON by its fields, other text by its lines, all else by its bytes. */
export function contentDifferences(a, b) {
  if (a.equals(b)) return [];
  const [left, right] = [parsed(a), parsed(b)];
  if (isObject(left) && isObject(right)) return documentDifferences(left, right, a, b);
  if (isUtf8(a) && isUtf8(b)) return textDifferences(a.toString(), b.toString());
  return [byteDifference(a, b)];
}

/** Where the outputs of two runs differ: maps of names to bytes. */
export function differences(a, b) {
  return [...new Set([...a.keys(), ...b.keys()])].flatMap((name) => {
    const [left, right] = [a.get(name), b.get(name)];
    if (left === undefined) return [`${name}: missing in the first`];
    if (right === undefined) return [`${name}: missing in the second`];
    return contentDifferences(left, right).map((text) => `${name}: ${text}`);
  });
}
