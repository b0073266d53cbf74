import { LowrankError } from '../errors.js';

/** Counts what is kept of a model apart from its bytes. Throws UNSUPPORTED where that is too much. */
export type Budget = (items: number) => void;

/** The largest graphs of exporters have some hundred thousand. */
const always = 3 * 2 ** 18;
const bytesEach = 32;

/**
 * Fields, names and list elements of a model of `size` bytes that may be taken apart: three quarters of a million, and one more for every
 * 32 bytes. The smallest field takes two bytes, and fifty times as much in memory: without a limit a file of them would take
 * all there is.
 */
export function modelBudget(size: number, label: string): Budget {
  const most = always + Math.floor(size / bytesEach);
  let left = most;
  return (items) => {
    left -= items;
    if (left >= 0) return;
    throw new LowrankError(
      'UNSUPPORTED',
      `more than ${most} names, attributes and fields in a model of ${size} bytes`,
      {
        place: label,
        remedy: 'check that this is an .onnx file',
      },
    );
  };
}
