import type { Operator } from './operator.js';
import { allConstants, input, isSmall, known } from './support/known.js';
import { normalizeAxis, sizeOf } from './support/layout.js';
import { concatDims } from './support/select.js';

/** Inputs one behind the other along an axis (ai.onnx 4, 11, 13). */
export const concat: Operator = {
  opType: 'Concat',
  domain: '',
  infer: (context) => {
    const values = context.inputs.map((_, index) => input(context, index));
    const { dataType, dims: first } = input(context, 0);
    // The attribute had a default of 1 before ai.onnx 4.
    const axis = normalizeAxis(context.node.int('axis', 1), first.length);
    const dims = concatDims(
      values.map((value) => value.dims),
      axis,
    );
    const constants = isSmall(dims) ? allConstants(values) : undefined;
    if (constants === undefined) return [known(dataType, dims)];
    const rows = sizeOf(first.slice(0, axis));
    const joined: number[] = [];
    for (let row = 0; row < rows; row++) {
      values.forEach((value, i) => {
        const length = sizeOf(value.dims.slice(axis));
        joined.push(...constants[i]!.slice(row * length, (row + 1) * length));
      });
    }
    return [known(dataType, dims, joined)];
  },
};
