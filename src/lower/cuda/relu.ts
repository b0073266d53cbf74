import type { TrainedForm } from '../../autodiff/copy-forward.js';
import { BOOL } from '../../onnx/data-type.js';

/** y = max(0, x), with dx = dy where y is not 0, else 0: the selection writes one tensor, a mask and a product write two. */
export const reluBySelection: TrainedForm = (e, node, [x]) => {
  const y = e.emit('Relu', [x], {}, { name: node.id });
  return {
    outputs: [y],
    tape: [
      {
        inputs: [x],
        outputs: [y],
        label: node.label,
        isDifferentiable: true,
        // y ≥ 0: as a truth value it is y > 0.
        backward: ([dy]) => [e.emit('Where', [e.cast(y, BOOL), dy!, e.scalar(0, dy)])],
      },
    ],
  };
};
