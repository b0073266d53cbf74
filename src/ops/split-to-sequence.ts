import { none } from './gradient.js';
import type { Operator } from './operator.js';
import { shapeError } from './support/fail.js';
import { givenInput, input, known } from './support/known.js';
import { normalizeAxis, showDims } from './support/layout.js';
import { sequenceOf } from './support/sequence.js';

/** A sequence of more tensors than this is left to the run. */
const mostParts = 1 << 16;

/**
 * A sequence of parts of x along an axis (ai.onnx 11): sizes as listed; or equal ones of one given size, the last being
 * what is left; or, without sizes, single slices, which lose the axis unless keepdims.
 */
export const splitToSequence: Operator = {
  opType: 'SplitToSequence',
  domain: '',
  gradient: none('sequences of tensors have no gradients here'),
  infer: (context) => {
    const { dataType, dims } = input(context, 0);
    const axis = normalizeAxis(context.node.int('axis', 0), dims.length);
    const size = dims[axis]!;
    const given = givenInput(context, 1);
    if (given === 'unknown') return undefined;
    const count = given === 'absent' ? size : given.length === 1 ? size / Math.max(1, given[0]!) : given.length;
    if (count > mostParts) return undefined;
    if (given === 'absent') {
      const isKept = context.node.int('keepdims', 1) !== 0;
      const slice = known(dataType, isKept ? dims.with(axis, 1) : dims.toSpliced(axis, 1));
      return [
        sequenceOf(
          dataType,
          Array.from({ length: size }, () => slice),
        ),
      ];
    }
    const isScalar = input(context, 1).dims.length === 0;
    const part = given[0]!;
    if (isScalar && part < 1) throw shapeError(`parts of ${part}`);
    const parts = isScalar
      ? Array.from({ length: Math.ceil(size / part) }, (_, i) => Math.min(part, size - i * part))
      : given;
    if (parts.reduce((sum, length) => sum + length, 0) !== size)
      throw shapeError(`${size} split into ${showDims(parts)}`);
    return [
      sequenceOf(
        dataType,
        parts.map((length) => known(dataType, dims.with(axis, length))),
      ),
    ];
  },
};
