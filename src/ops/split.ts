import { rule } from './gradient.js';
import type { InferenceContext, Operator } from './operator.js';
import { shapeError } from './support/fail.js';
import { givenList, input, known } from './support/known.js';
import { normalizeAxis, showDims } from './support/layout.js';
import { pick, upTo } from './support/select.js';

/** Sizes along the axis: as given, or equal, the last of num_outputs being what is left; undefined before the run. */
function partsOf(context: InferenceContext, size: number): readonly number[] | undefined {
  const given = givenList(context, 'split', 1);
  if (given === 'unknown') return undefined;
  if (given !== 'absent' && given.length > 0) {
    if (given.reduce((sum, part) => sum + part, 0) !== size) throw shapeError(`${size} split into ${showDims(given)}`);
    return given;
  }
  const count = context.node.int('num_outputs') ?? context.node.outputs.length;
  const part = Math.ceil(size / count);
  const last = size - part * (count - 1);
  // num_outputs may leave less for the last one; before ai.onnx 18 the parts are equal.
  if (last < 0 || (context.opset < 18 && last !== part)) throw shapeError(`${size} split into ${count} equal parts`);
  // No more than there are outputs, whatever num_outputs says.
  const listed = Math.min(count, context.node.outputs.length);
  return Array.from({ length: listed }, (_, i) => (i === count - 1 ? last : part));
}

/** Parts of x along an axis (ai.onnx 2, 11; `split` is an input since 13, num_outputs an attribute since 18). */
export const split: Operator = {
  opType: 'Split',
  domain: '',
  gradient: rule(({ e, node, outputs, gradients, inputs: [x] }) => [
    e.concat(
      outputs.map((y, i) => gradients[i] ?? e.zerosLike(y!)),
      normalizeAxis(node.int('axis', 0), e.rank(x!)),
    ),
  ]),
  infer: (context) => {
    const x = input(context, 0);
    const axis = normalizeAxis(context.node.int('axis', 0), x.dims.length);
    const parts = partsOf(context, x.dims[axis]!);
    let start = 0;
    return parts?.map((part) => {
      const dims = x.dims.with(axis, part);
      // Indices are listed only where elements are known.
      const lists = (): number[][] =>
        dims.map((dim, i) => upTo(dim).map((index) => (i === axis ? index + start : index)));
      const constant = x.constant === undefined ? undefined : pick(x.constant, x.dims, lists());
      start += part;
      return known(x.dataType, dims, constant);
    });
  },
};
