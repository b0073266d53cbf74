import { int } from '../graph/attributes.js';
import type { Value } from '../graph/value.js';
import type { Emitter } from './emitter.js';
import { rule } from './gradient.js';
import type { Operator } from './operator.js';
import { allConstants, input, isSmall, known } from './support/known.js';
import { normalizeAxis, sizeOf } from './support/layout.js';
import { concatDims } from './support/select.js';

/** Inputs one behind the other along an axis (ai.onnx 4, 11, 13). */
export const concat: Operator = {
  opType: 'Concat',
  domain: '',
  gradient: rule(({ e, node, inputs, gradients: [dy], needs }) => {
    const parts = inputs.map((x) => x!);
    const axis = normalizeAxis(node.int('axis', 1), e.rank(dy!));
    if (needs.filter(Boolean).length === 1 && !(e.isBatchOpen && axis === 0)) {
      return parts.map((x, i) => (needs[i] === true ? partOf(e, dy!, parts.slice(0, i), x, axis) : undefined));
    }
    return splitLike(e, dy!, parts, axis);
  }),
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

/** The part of `dy` along `axis` that belongs to `x`, which comes after `before`. */
function partOf(e: Emitter, dy: Value, before: readonly Value[], x: Value, axis: number): Value {
  const start = before.reduce((sum, value) => sum + e.dims(value)[axis]!, 0);
  return e.slice(dy, [start], [start + e.dims(x)[axis]!], [axis]);
}

/** `dy` split along `axis` into the sizes of `parts`. */
function splitLike(e: Emitter, dy: Value, parts: readonly Value[], axis: number): Value[] {
  if (!e.isBatchOpen || axis !== 0) {
    return e.split(
      dy,
      parts.map((x) => e.dims(x)[axis]!),
      axis,
    );
  }
  if (parts.length === 1) return [dy];
  const sizes = parts.map((x) => e.emit('Gather', [e.shapeOf(x), e.ints([axis])], { axis: int(0) }));
  return e.emitAll('Split', [dy, e.concat(sizes, 0)], { axis: int(axis) }, { outputs: parts.length });
}
