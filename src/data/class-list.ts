import { basename } from 'node:path';
import { LowrankError, messageOf } from '../errors.js';
import { readRegularText, unusable } from '../files/regular.js';
import type { ImageSource } from './types.js';

/** Classes in the order of a model's outputs. */
export interface ClassList {
  /** What folders, shards and label files call them: synsets, or names. */
  readonly ids: readonly string[];
  /** For people. */
  readonly titles: readonly string[];
}

/** What a source says of its classes; `given`: the list that it was asked to follow. */
export function classFacts(
  { ids, titles }: ClassList,
  given: unknown,
): Pick<ImageSource, 'classes' | 'titles' | 'hasGivenClasses'> {
  return { classes: ids, titles, hasGivenClasses: given !== undefined };
}

/** A list in which the identifiers are the titles. */
export function plainClasses(ids: readonly string[]): ClassList {
  return { ids, titles: ids };
}

/**
 * Classes from a file: `LOC_synset_mapping.txt` ("n01440764 tench, Tinca tinca"), `imagenet_class_index.json`
 * ({"0": ["n01440764", "tench"]}), a JSON array of names, a JSON object of names to numbers or numbers to names, or a text
 * file of one name per line (a tab separates an identifier from its title). Throws INPUT where it cannot be read, FORMAT
 * where it is none of these or a class occurs twice.
 */
export function readClassList(path: string): ClassList {
  let text: string;
  try {
    text = readRegularText(path);
  } catch (error) {
    throw unusable(error, 'the class list cannot be read');
  }
  const isJson = /^\s*[[{]/.test(text);
  const classes = isJson ? parseJson(text, path) : parseLines(text);
  checkClasses(classes, path);
  return classes;
}

function checkClasses({ ids }: ClassList, place: string): void {
  if (ids.length === 0) throw new LowrankError('FORMAT', 'the class list is empty', { place });
  const lines = new Map<string, number>();
  for (const [index, id] of ids.entries()) {
    const first = lines.get(id);
    if (first !== undefined) {
      throw new LowrankError('FORMAT', `class '${id}' occurs twice, at ${first} and ${index}`, { place });
    }
    lines.set(id, index);
  }
}

const synset = /^(n\d{8})\s+(.+)$/;

function parseLines(text: string): ClassList {
  const lines = text
    .split(/\r?\n/)
    .map((line) => line.trimEnd())
    .filter((line) => line !== '');
  const pairs = lines.map((line): readonly [string, string] => {
    const tab = line.indexOf('\t');
    if (tab > 0) return [line.slice(0, tab).trim(), line.slice(tab + 1).trim()];
    const match = synset.exec(line);
    return match === null ? [line.trim(), line.trim()] : [match[1]!, match[2]!.trim()];
  });
  return { ids: pairs.map(([id]) => id), titles: pairs.map(([, title]) => title) };
}

function parseJson(text: string, path: string): ClassList {
  const fail = (fact: string, cause?: unknown): never => {
    throw new LowrankError('FORMAT', fact, {
      place: path,
      remedy: 'give an array of names, or an object such as {"0": ["n01440764", "tench"]}',
      cause,
    });
  };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return fail(`the class list is not JSON: ${messageOf(error)}`, error);
  }
  const entries: (readonly [number, readonly [string, string]])[] = Object.entries(value as object).map(
    ([key, item]) => {
      const isCount = /^\d+$/.test(key);
      if (isCount && typeof item === 'string') return [Number(key), [item, item]];
      const names: readonly unknown[] = Array.isArray(item) ? item : [];
      const [id, title = id] = names;
      if (isCount && typeof id === 'string' && typeof title === 'string') return [Number(key), [id, title]];
      if (!isCount && Number.isSafeInteger(item)) return [item as number, [key, key]];
      return fail(`entry '${key}' of the class list is neither a name nor a number`);
    },
  );
  const sorted = entries.toSorted(([one], [other]) => one - other);
  for (const [index, [number]] of sorted.entries()) {
    if (number !== index) fail(`class ${index} is missing in the class list of ${sorted.length}`);
  }
  return { ids: sorted.map(([, [id]]) => id), titles: sorted.map(([, [, title]]) => title) };
}

/** The one list that several places of a data set have. Throws INPUT where they differ; undefined where there is none. */
export function sameClasses(
  lists: readonly { readonly place: string; readonly classes: ClassList }[],
): ClassList | undefined {
  const [first, ...others] = lists;
  for (const { place, classes } of others) {
    const { ids } = first!.classes;
    const length = Math.max(ids.length, classes.ids.length);
    const at = Array.from({ length }, (_, index) => index).find((index) => ids[index] !== classes.ids[index]);
    if (at === undefined) continue;
    const named = (name: string | undefined): string => (name === undefined ? 'missing' : `'${name}'`);
    throw new LowrankError(
      'INPUT',
      `class ${at} is ${named(classes.ids[at])}, and in ${first!.place} ${named(ids[at])}`,
      { place, remedy: 'open data sets of different classes one by one' },
    );
  }
  return first?.classes;
}

/** The index of a class in a list, by identifier or else by title. */
export function classIndex(classes: ClassList): (name: string) => number | undefined {
  const byId = new Map(classes.ids.map((id, index) => [id, index]));
  const byTitle = new Map(classes.titles.map((title, index) => [title, index]));
  return (name) => byId.get(name) ?? byTitle.get(name);
}

/**
 * Labels for images of named classes. With a given list its order counts and every name must be in it; else the names
 * themselves, sorted by code points, are the classes. Throws INPUT for a name that is not in the list.
 */
export function labelNames(
  names: readonly string[],
  given: ClassList | undefined,
  place: string,
): { readonly classes: ClassList; readonly labels: readonly number[] } {
  const classes = given ?? plainClasses([...new Set(names)].toSorted(byCodePoint));
  const find = classIndex(classes);
  const labels = names.map((name) => {
    const label = find(name);
    if (label !== undefined) return label;
    throw new LowrankError('INPUT', `class '${name}' is not in the class list of ${classes.ids.length}`, {
      place,
      remedy: `give a class list (--classes) that has it; the list starts with '${classes.ids[0] ?? ''}'`,
    });
  });
  return { classes, labels };
}

/** The order of Python's `sorted` for texts: by code points, where `<` compares UTF-16 units. */
export function byCodePoint(one: string, other: string): number {
  const length = Math.min(one.length, other.length);
  for (let at = 0; at < length; at++) {
    const [a, b] = [one.charCodeAt(at), other.charCodeAt(at)];
    if (a !== b) return rank(a) - rank(b);
  }
  return one.length - other.length;
}

/** Surrogates stand for code points above all others. */
function rank(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}

/** The last part of a path as a class name: "a/b/n01440764.tar" → "n01440764". */
export function stem(path: string): string {
  return basename(path).replace(/\.[^.]*$/, '');
}
