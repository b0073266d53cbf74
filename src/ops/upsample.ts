import { none } from './gradient.js';
import type { Operator } from './operator.js';
import { shapeError } from './support/fail.js';
import { input, givenInput, known } from './support/known.js';
import { scaledDims } from './support/resize.js';

/** x enlarged by scales: an attribute in ai.onnx 7, an input in 9; Resize since 10. */
export const upsample: Operator = {
  opType: 'Upsample',
  domain: '',
  settings: [1],
  gradient: none('ONNX replaced it by Resize in opset 10; raise the opset of the model'),
  infer: (context) => {
    const x = input(context, 0);
    const scales = context.node.floats('scales') ?? givenInput(context, 1);
    if (scales === 'unknown') return undefined;
    if (scales === 'absent') throw shapeError('Upsample without scales');
    return [known(x.dataType, scaledDims(x.dims, scales))];
  },
};
