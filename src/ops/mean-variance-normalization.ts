import { elementwise } from './gradient.js';
import { unary } from './support/elementwise.js';

/** What onnxruntime adds to the standard deviation. */
const epsilon = 1e-9;

/** (x − mean) / standard deviation over the axes given (ai.onnx 9). */
export const meanVarianceNormalization = unary(
  'MeanVarianceNormalization',
  elementwise((e, dy, x, y, node) => {
    const axes = node.ints('axes') ?? [0, 2, 3];
    const centred = e.sub(x, e.reduceMean(x, axes));
    const deviation = e.emit('Sqrt', [e.reduceMean(e.mul(centred, centred), axes)]);
    const along = e.add(e.reduceMean(dy, axes), e.mul(y, e.reduceMean(e.mul(dy, y), axes)));
    return e.div(e.sub(dy, along), e.add(deviation, e.scalar(epsilon, x)));
  }),
);
