import { none } from './gradient.js';
import type { Operator } from './operator.js';
import { shapeError } from './support/fail.js';
import { givenInput, input, known } from './support/known.js';

/** A new axis of `depth`, on where the index points, off elsewhere (ai.onnx 9, 11). */
export const oneHot: Operator = {
  opType: 'OneHot',
  domain: '',
  settings: [2],
  gradient: none('the values on and off are not trained'),
  infer: (context) => {
    const { dims } = input(context, 0);
    const depth = givenInput(context, 1);
    if (depth === 'unknown') return undefined;
    const axis = context.node.int('axis', -1);
    const at = axis < 0 ? axis + dims.length + 1 : axis;
    if (depth === 'absent' || at < 0 || at > dims.length) throw shapeError(`OneHot on axis ${axis}`);
    return [known(input(context, 2).dataType, dims.toSpliced(at, 0, depth[0]!))];
  },
};
