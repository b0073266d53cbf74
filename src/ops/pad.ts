import type { Value } from '../graph/value.js';
import { type GradientContext, rule } from './gradient.js';
import type { InferenceContext, Operator } from './operator.js';
import { shapeError, unsupported } from './support/fail.js';
import { type Given, givenInput, input, known } from './support/known.js';
import { normalizeAxes, showDims } from './support/layout.js';
import { adjointAlong } from './support/linear-map.js';
import { padMap } from './support/pad-map.js';

function padsOf(context: InferenceContext): Given {
  return context.opset < 11 ? (context.node.ints('pads') ?? 'absent') : givenInput(context, 1);
}

/** x with margins, all begins then all ends, negative ones crop (ai.onnx 2; inputs since 11, axes since 18). */
export const pad: Operator = {
  opType: 'Pad',
  domain: '',
  settings: [1, 2, 3],
  infer: (context) => {
    const x = input(context, 0);
    const pads = padsOf(context);
    const given = givenInput(context, 3);
    if (pads === 'unknown' || given === 'unknown') return undefined;
    const axes = given === 'absent' ? x.dims.map((_, i) => i) : normalizeAxes(given, x.dims.length);
    if (pads === 'absent' || pads.length !== 2 * axes.length) {
      throw shapeError(`pads ${pads === 'absent' ? 'missing' : showDims(pads)} for ${axes.length} axes`);
    }
    const dims = [...x.dims];
    axes.forEach((axis, i) => {
      const size = x.dims[axis]! + pads[i]! + pads[i + axes.length]!;
      dims[axis] = size;
      if (size < 0) throw shapeError(`axis ${axis} of ${showDims(x.dims)} padded by ${showDims(pads)}`);
    });
    return [known(x.dataType, dims)];
  },
  gradient: rule((context) => {
    const { e, node, inputs, needs } = context;
    const mode = node.string('mode', 'constant');
    const dy = context.gradients[0]!;
    const pads = fullPads(context);
    const dx =
      mode === 'constant'
        ? e.pad(
            dy,
            pads.map((pad) => -pad),
          )
        : foldBack(context, mode, pads);
    // What is not of x is the constant.
    const dvalue = needs[2] === true ? e.reshapeLike(e.sub(e.reduceSum(dy), e.reduceSum(dx)), inputs[2]!) : undefined;
    return [needs[0] === true ? dx : undefined, undefined, dvalue];
  }),
};

/** Pads of all axes. Throws UNSUPPORTED where they are not known before a run. */
function fullPads({ e, node, inputs }: GradientContext): number[] {
  const rank = e.rank(inputs[0]!);
  const pads = e.typeOf(inputs[1]!).constant;
  const axes = inputs[3] === undefined ? Array.from({ length: rank }, (_, i) => i) : e.typeOf(inputs[3]).constant;
  if (pads === undefined || axes === undefined)
    throw unsupported(node, 'Pad by a number that is computed has no gradient');
  const full = Array.from({ length: 2 * rank }, () => 0);
  normalizeAxes(axes, rank).forEach((axis, i) => {
    full[axis] = pads[i]!;
    full[axis + rank] = pads[i + axes.length]!;
  });
  return full;
}

/** Gradient of the modes that repeat elements of x: each gets what its copies got. */
function foldBack({ e, node, inputs, gradients }: GradientContext, mode: string, pads: readonly number[]): Value {
  const dims = e.dims(inputs[0]!);
  return dims.reduce((dy, size, axis) => {
    const [before, after] = [pads[axis]!, pads[axis + dims.length]!];
    if (before === 0 && after === 0) return dy;
    const map = padMap(mode, size, before, after);
    if (map === undefined) throw unsupported(node, `Pad in mode '${mode}' has no gradient`);
    if (axis === 0) throw unsupported(node, `Pad in mode '${mode}' along the batch has no gradient`);
    return adjointAlong(e, dy, axis, map);
  }, gradients[0]!);
}
