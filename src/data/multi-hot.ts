import { LowrankError } from '../errors.js';
import { type ClassList, plainClasses } from './class-list.js';

/** Labels of images that have several classes each, or none. */
export interface MultiHotLabels {
  readonly classes: ClassList;
  /** The first class of each image; 0 where it has none. */
  readonly labels: readonly number[];
  /** 0 or 1 for every class, one row an image. */
  readonly targets: readonly Uint8Array[];
}

/**
 * Labels that are 0 or 1 for every class: lists of one length, at least two, of zeros and ones (numbers, true and false, or a text
 * such as "[0, 1, 1]" or "0 1 1"). undefined where any is something else. Throws INPUT where the list of classes has
 * another length.
 */
export function multiHotLabels(
  values: readonly unknown[],
  list: ClassList | undefined,
  place: string,
): MultiHotLabels | undefined {
  const targets: Uint8Array[] = [];
  for (const value of values) {
    const row = rowOf(value);
    if (row === undefined || row.length !== (targets[0] ?? row).length) return undefined;
    targets.push(row);
  }
  const classes = targets[0]?.length;
  if (classes === undefined) return undefined;
  if (list !== undefined && list.ids.length !== classes) {
    throw new LowrankError(
      'INPUT',
      `labels are 0 or 1 for ${classes} classes, and the class list has ${list.ids.length}`,
      {
        place,
        remedy: 'give the class list of this data set (--classes), one name for each number of a label',
      },
    );
  }
  return {
    classes: list ?? plainClasses(Array.from({ length: classes }, (_, index) => String(index))),
    labels: targets.map((row) => Math.max(0, row.indexOf(1))),
    targets,
  };
}

const listText = /^[[(]?\s*[01](?:\.0*)?(?:(?:\s*,\s*|\s+)[01](?:\.0*)?)+\s*[\])]?$/;
/** Longer texts are no labels. */
const longestText = 1 << 20;

function rowOf(value: unknown): Uint8Array | undefined {
  if (typeof value === 'string') {
    const text = value.replace(/^\uFEFF/, '').trim();
    if (text.length > longestText || !listText.test(text)) return undefined;
    return Uint8Array.from(text.match(/[01](?:\.0*)?/g)!, (digit) => (digit.startsWith('1') ? 1 : 0));
  }
  if (value instanceof Uint8Array && !value.every((item) => item <= 1))
    return rowOf(Buffer.from(value).toString('utf8'));
  const isList = Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
  const items: readonly unknown[] = isList ? Array.from(value as ArrayLike<unknown>) : [];
  if (items.length < 2) return undefined;
  const row = new Uint8Array(items.length);
  for (const [i, item] of items.entries()) {
    const number = typeof item === 'bigint' || typeof item === 'boolean' ? Number(item) : item;
    if (number !== 0 && number !== 1) return undefined;
    row[i] = number;
  }
  return row;
}
