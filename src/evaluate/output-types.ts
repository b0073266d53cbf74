import type { ElementType } from '../runtime/types.js';

export const floatTypes: ReadonlySet<string> = new Set<ElementType>(['float32', 'float64', 'float16', 'bfloat16']);

/** Whole numbers, and what is true or false. */
export const wholeTypes: ReadonlySet<string> = new Set<ElementType>([
  ...(['int8', 'uint8', 'int16', 'uint16', 'int32', 'uint32', 'int64', 'uint64', 'bool'] as const),
]);

/** Whether the output of a run of `size` images is [images, classes], maybe with axes of 1. */
export function isOfClasses(dims: readonly number[], size: number): boolean {
  const others = dims[0] === size ? dims.slice(1) : size === 1 ? dims : [];
  return others.filter((dim) => dim > 1).length === 1;
}
