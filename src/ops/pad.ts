import type { InferenceContext, Operator } from './operator.js';
import { shapeError } from './support/fail.js';
import { type Given, givenInput, input, known } from './support/known.js';
import { normalizeAxes, showDims } from './support/layout.js';

function padsOf(context: InferenceContext): Given {
  return context.opset < 11 ? (context.node.ints('pads') ?? 'absent') : givenInput(context, 1);
}

/** x with margins, all begins then all ends, negative ones crop (ai.onnx 2; inputs since 11, axes since 18). */
export const pad: Operator = {
  opType: 'Pad',
  domain: '',
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
};
