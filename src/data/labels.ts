import { LowrankError } from '../errors.js';
import { classIndex, labelNames, plainClasses, type ClassList } from './class-list.js';
import { multiHotLabels } from './multi-hot.js';

/** Labels as indices into classes. */
export interface Labels {
  readonly classes: ClassList;
  readonly labels: readonly number[];
  /** Of images that have several classes each: 0 or 1 for every class. */
  readonly targets?: readonly Uint8Array[];
}

export interface LabelOptions {
  /** What the user says that the classes are. */
  readonly given: ClassList | undefined;
  /** The data set's own list: `classes.txt` beside its shards, names in its metadata. Its numbers count in this one. */
  readonly own?: ClassList | undefined;
  readonly place: string;
  /** For errors: "image 'a.jpg'", "row 3". */
  readonly nameOf: (index: number) => string;
}

/** Labels as they were found: all numbers, or all names. */
export type FoundLabels =
  | { readonly kind: 'numbers'; readonly numbers: readonly number[] }
  | { readonly kind: 'names'; readonly names: readonly string[] };

/** So many classes cost nothing; more must be there, or a number is taken for something that it is not. */
const alwaysFine = 100_000;
const mostGaps = 10;

/**
 * Labels of images, as any format holds them: numbers, texts, bytes, lists of one element. Texts that are whole numbers ("7",
 * "+1", "1.0", "1e0", "[1]") are numbers in every format, positions counted from 0; all other texts are names. Throws FORMAT
 * where a label is missing, numbers are mixed with names, or a number is negative or no whole one; INPUT for a class that the
 * list does not have. Lists of zeros and ones, all of one length, are labels of several classes (`multiHotLabels`).
 */
export function classLabels(values: readonly unknown[], options: LabelOptions): Labels {
  const several = multiHotLabels(values, options.given ?? options.own, options.place);
  if (several !== undefined) return several;
  const found = findLabels(values, options);
  if (found.kind === 'names') return labelNames(found.names, options.given ?? options.own, options.place);
  return numberedLabels(found.numbers, options);
}

/** The labels as numbers or names. Throws FORMAT where they are neither, or both; with a list that has all as names, they are names. */
export function findLabels(values: readonly unknown[], { given, own, place, nameOf }: LabelOptions): FoundLabels {
  const found = values.map(labelOf);
  const missing = found.indexOf(undefined);
  if (missing >= 0) {
    throw new LowrankError('FORMAT', `${nameOf(missing)} has no label that names one class${shown(values[missing])}`, {
      place,
      remedy:
        'give each image one class, a number from 0 or a name; a part without labels (often "test") cannot be used',
    });
  }
  const firstNumber = found.findIndex((label) => typeof label === 'number');
  const firstName = found.findIndex((label) => typeof label === 'string');
  if (firstNumber < 0) return { kind: 'names', names: found as string[] };
  if (firstName >= 0) {
    const names = values.map(textOf);
    const ids = new Set((given ?? own)?.ids);
    if (names.every((name) => ids.has(name))) return { kind: 'names', names };
    throw new LowrankError(
      'FORMAT',
      `labels are numbers and names: ${nameOf(firstNumber)} has ${short(values[firstNumber])}, ${nameOf(firstName)} has '${short(values[firstName])}'`,
      { place, remedy: 'label all images alike, or give a class list (--classes) with all of them as names' },
    );
  }
  const numbers = found as number[];
  const isClass = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;
  const bad = numbers.findIndex((value) => !isClass(value));
  if (bad >= 0) {
    const count = numbers.filter((value) => !isClass(value)).length;
    throw new LowrankError(
      'FORMAT',
      `${nameOf(bad)} has label ${short(values[bad])}, and classes are whole numbers from 0 (${count} of ${numbers.length} labels are none)`,
      {
        place,
        remedy:
          numbers[bad] === -1
            ? 'where -1 marks images without a class, leave them out; else add 1 to all labels'
            : 'number the classes from 0, or write names',
      },
    );
  }
  return { kind: 'numbers', numbers };
}

/** Labels of numbers: positions in the data set's own list or else the given one; without one the classes are 0 to the largest. */
export function numberedLabels(numbers: readonly number[], options: LabelOptions): Labels {
  const { given, own, place, nameOf } = options;
  const most = numbers.reduce((largest, label) => Math.max(largest, label), 0);
  const list = own ?? given;
  if (list === undefined) {
    checkGaps(numbers, most, options);
    return { classes: plainClasses(Array.from({ length: most + 1 }, (_, index) => String(index))), labels: numbers };
  }
  if (own === undefined) {
    const asNames = labelsAsNames(numbers, list, place, most);
    if (asNames !== undefined) return { classes: list, labels: asNames };
  }
  const beyond = numbers.findIndex((number) => number >= list.ids.length);
  if (beyond >= 0) {
    throw new LowrankError(
      'INPUT',
      `${nameOf(beyond)} has label ${numbers[beyond]!}, and the class list has ${list.ids.length} classes`,
      {
        place,
        remedy: 'give the class list of this data set (--classes), its classes in the order of the numbers from 0',
      },
    );
  }
  if (own === undefined || given === undefined) return { classes: list, labels: numbers };
  return inGivenOrder(numbers, own, given, place);
}

/** A number of an own list is the class of that name in the given one, which may have another order and more classes. */
function inGivenOrder(numbers: readonly number[], own: ClassList, given: ClassList, place: string): Labels {
  const find = classIndex(given);
  const labelOfOwn = (number: number): number | undefined => find(own.ids[number]!) ?? find(own.titles[number]!);
  const used = [...new Set(numbers)];
  const missing = used.filter((number) => labelOfOwn(number) === undefined);
  if (missing.length === 0) return { classes: given, labels: numbers.map((number) => labelOfOwn(number)!) };
  // A list of "0", "1" … or of other names for as many classes says no more than their positions.
  const isPositions = isCounted(own) || (missing.length === used.length && own.ids.length === given.ids.length);
  if (isPositions && used.every((number) => number < given.ids.length)) return { classes: given, labels: numbers };
  throw new LowrankError(
    'INPUT',
    `class '${own.ids[missing[0]!]!}' of the data set is not in the class list of ${given.ids.length}`,
    { place, remedy: `give a class list (--classes) that has it; the list starts with '${given.ids[0] ?? ''}'` },
  );
}

/** Labels in a list whose classes are called by numbers: undefined where positions are meant. Throws INPUT where both could be. */
function labelsAsNames(
  numbers: readonly number[],
  list: ClassList,
  place: string,
  most: number,
): readonly number[] | undefined {
  if (isCounted(list) || !list.ids.every((id) => typeof labelOf(id) === 'number')) return undefined;
  const positions = new Map(list.ids.map((id, index) => [labelOf(id) as number, index]));
  const asNames = numbers.map((number) => positions.get(number));
  if (asNames.includes(undefined)) return undefined;
  const labels = asNames as number[];
  const differing = numbers.findIndex((number, index) => number !== labels[index]);
  if (most >= list.ids.length || differing < 0) return labels;
  const number = numbers[differing]!;
  throw new LowrankError(
    'INPUT',
    `label ${number} may be the class '${number}' or the one at position ${number}, '${list.ids[number]!}'`,
    {
      place,
      remedy: 'give a class list (--classes) whose names are no numbers, or in the order of the numbers from 0',
    },
  );
}

function isCounted({ ids }: ClassList): boolean {
  return ids.every((id, index) => id === String(index));
}

function checkGaps(numbers: readonly number[], most: number, { place, nameOf }: LabelOptions): void {
  if (most < alwaysFine) return;
  const found = [...new Set(numbers)].toSorted((one, other) => one - other);
  if (most < mostGaps * found.length) return;
  const first = found.slice(0, 3).join(', ');
  const list = found.length > 4 ? `${first}, … ${most}` : [...found.slice(0, 3), ...found.slice(3)].join(', ');
  throw new LowrankError('INPUT', `class ${most} of ${found.length} found: ${list}`, {
    place: `${place}, ${nameOf(numbers.indexOf(most))}`,
    remedy: 'number the classes from 0 without gaps, write names, or give a class list (--classes)',
  });
}

const wholeNumber = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;
/** Brackets and quotes around one value, as numpy, JSON and Python write it. */
const wrapped = [/^\[([^,]*),?\s*\]$/, /^\(([^,]*),?\s*\)$/, /^b?"([^"]*)"$/, /^b?'([^']*)'$/] as const;

/** Longer texts are no numbers. */
const longestNumber = 64;

function unwrapped(text: string): string {
  if (text.length > longestNumber) return text;
  const inner = wrapped.map((form) => form.exec(text)?.[1]).find((found) => found !== undefined);
  return inner === undefined ? text : unwrapped(inner.trim());
}

/** A label as a number, or as a name; undefined where it is none. */
function labelOf(value: unknown): number | string | undefined {
  switch (typeof value) {
    case 'number':
      return value;
    case 'bigint':
    case 'boolean':
      return Number(value);
    case 'string': {
      const text = value.replace(/^\uFEFF/, '').trim();
      const number = unwrapped(text);
      if (wholeNumber.test(number)) return Number(number);
      return text === '' || /[\r\n\0]/.test(text) ? undefined : text;
    }
    default:
      if (value instanceof Uint8Array) return labelOf(Buffer.from(value).toString('utf8'));
      return Array.isArray(value) && value.length === 1 && !isDeep(value) ? labelOf(value[0]) : undefined;
  }
}

/** Whether lists lie in lists in lists: those hold no label. */
function isDeep(value: readonly unknown[]): boolean {
  return value.flat(2).some((item) => Array.isArray(item));
}

/** Whether a text is a label that is a whole number from 0. */
export function isNumberLabel(value: unknown): boolean {
  const label = labelOf(value);
  return typeof label === 'number' && Number.isSafeInteger(label) && label >= 0;
}

/** A label for people, as it was found. */
function textOf(value: unknown): string {
  if (value instanceof Uint8Array) return textOf(Buffer.from(value).toString('utf8'));
  if (typeof value === 'string') return value.replace(/^\uFEFF/, '').trim();
  if (typeof value !== 'object' || value === null) return String(value);
  if (!Array.isArray(value)) return 'an object';
  return isDeep(value) ? 'lists in lists' : `[${value.map(textOf).join(', ')}]`;
}

/** The same, short enough for a message. */
function short(value: unknown): string {
  const text = textOf(value);
  return text.length > 60 ? `${text.slice(0, 60)} …` : text;
}

function shown(value: unknown): string {
  if (value === undefined) return '';
  const text = short(value);
  return text === '' ? '' : `, but ${text}`;
}
