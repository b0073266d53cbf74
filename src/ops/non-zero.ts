import { INT64 } from '../onnx/data-type.js';
import { zero } from './gradient.js';
import type { Operator } from './operator.js';
import { input, known } from './support/known.js';
import { stridesOf, upTo } from './support/select.js';

/** Indices of the elements that are not 0, one row per axis (ai.onnx 9). Their number depends on the data. */
export const nonZero: Operator = {
  opType: 'NonZero',
  domain: '',
  gradient: zero,
  infer: (context) => {
    const { dims, constant } = input(context, 0);
    if (constant === undefined) return undefined;
    const found = upTo(constant.length).filter((index) => constant[index] !== 0);
    const strides = stridesOf(dims);
    const rows = dims.map((dim, axis) => found.map((flat) => Math.floor(flat / strides[axis]!) % dim));
    return [known(INT64, [dims.length, found.length], rows.flat())];
  },
};
