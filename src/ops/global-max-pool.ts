import { int } from '../graph/attributes.js';
import { rule } from './gradient.js';
import { sizeOf } from './support/layout.js';
import { globalPool } from './support/pool.js';

/** The largest element of each channel (ai.onnx 1): the first of them gets dy, as in PyTorch. */
export const globalMaxPool = globalPool(
  'GlobalMaxPool',
  rule(({ e, inputs: [x], gradients: [dy] }) => {
    const [, channels, ...spatial] = e.dims(x!);
    const rows = e.reshape(x!, [0, channels!, sizeOf(spatial)]);
    const first = e.emit('ArgMax', [rows], { axis: int(2), keepdims: int(1) });
    const zeros = e.zerosLike(rows);
    const dx = e.emit('ScatterElements', [zeros, first, e.reshape(dy!, [0, channels!, 1])], { axis: int(2) });
    return [e.reshapeLike(dx, x!)];
  }),
);
