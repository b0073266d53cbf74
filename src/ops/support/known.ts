import { BFLOAT16, BOOL, DOUBLE, FLOAT, FLOAT16 } from '../../onnx/data-type.js';
import { bfloat16ToNumber, float16ToNumber, numberToBfloat16, numberToFloat16 } from '../../float16.js';
import type { Tensor } from '../../onnx/tensor.js';
import { type InferenceContext, type Known, largestConstant } from '../operator.js';
import { shapeError } from './fail.js';
import { sizeOf } from './layout.js';

/** A type, with its elements where they are known and few. Elements are rounded to the type as a run would. */
export function known(dataType: number, dims: readonly number[], constant?: readonly number[]): Known {
  if (constant === undefined || constant.length > largestConstant) return { dataType, dims };
  return { dataType, dims, constant: constant.map(rounding(dataType)) };
}

/** The type of a stored tensor. Its elements are read when they are first asked for. */
export function knownOfTensor(tensor: Tensor): Known {
  const { dataType, dims } = tensor;
  if (tensor.size > largestConstant || !readable.has(dataType)) return { dataType, dims };
  let elements: readonly number[] | undefined;
  return {
    dataType,
    dims,
    get constant(): readonly number[] {
      return (elements ??= [...tensor.toNumbers()]);
    },
  };
}

/** Types whose elements are numbers of whole bytes: float32 to bool, float16 to uint64, bfloat16. */
const readable: ReadonlySet<number> = new Set([1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 16]);

/** Conversion of a number to the element type: floats to nearest even, integers towards zero, bool to 0 or 1. */
export function rounding(dataType: number): (value: number) => number {
  switch (dataType) {
    case FLOAT:
      return Math.fround;
    case DOUBLE:
      return (value) => value;
    case FLOAT16:
      return (value) => float16ToNumber(numberToFloat16(value));
    case BFLOAT16:
      return (value) => bfloat16ToNumber(numberToBfloat16(value));
    case BOOL:
      return (value) => (value === 0 ? 0 : 1);
    default:
      return Math.trunc;
  }
}

/** Input `index`. Throws SHAPE where it is left out. */
export function input(context: InferenceContext, index: number): Known {
  const value = context.inputs[index];
  if (value === undefined) throw shapeError(`input ${index} is missing`);
  return value;
}

/** Throws SHAPE where an input that is there is no vector with one element for each channel of input 0. */
export function requirePerChannel(context: InferenceContext, indices: readonly number[]): void {
  const { dims } = input(context, 0);
  for (const index of indices) {
    const own = context.inputs[index]?.dims;
    if (own === undefined || dims.length < 2 || (own.length === 1 && own[0] === dims[1])) continue;
    throw shapeError(`input ${index} is [${own.join(', ')}] where its input has ${dims[1]} channels`);
  }
}

/** Numbers that a run gets from an attribute or an input: 'absent' where it is left out, 'unknown' before the run. */
export type Given = readonly number[] | 'absent' | 'unknown';

/** The elements of input `index`. */
export function givenInput(context: InferenceContext, index: number): Given {
  const value = context.inputs[index];
  return value === undefined ? 'absent' : (value.constant ?? 'unknown');
}

/** A list that is attribute `name` in older opsets and input `index` in newer ones. */
export function givenList(context: InferenceContext, name: string, index: number): Given {
  return context.node.ints(name) ?? givenInput(context, index);
}

/** All elements of all inputs where every one is known. */
export function allConstants(inputs: readonly (Known | undefined)[]): (readonly number[])[] | undefined {
  const constants: (readonly number[])[] = [];
  for (const value of inputs) {
    if (value?.constant === undefined) return undefined;
    constants.push(value.constant);
  }
  return constants;
}

/** Whether a tensor of these dims is small enough to be computed here. */
export function isSmall(dims: readonly number[]): boolean {
  return sizeOf(dims) <= largestConstant;
}
