import type { SampleSource } from '../../../../src/factorize/sampled/source.js';
import { int } from '../../../../src/graph/attributes.js';
import type { Matrix } from '../../../../src/linalg/types.js';

/** Rows of a matrix of inputs, [count, width]; `order` names the row of every sample, those of the first step first. */
export function rowSource({ rows, cols, data }: Matrix, order: BigInt64Array): SampleSource {
  return {
    tensors: {
      rows: { type: 'float32', dims: [rows, cols], data },
      order: { type: 'int64', dims: [order.length], data: order },
    },
    emit: (e, { step, batch, outer }) => {
      const first = e.unsqueeze(e.emit('Mul', [step, e.ints([batch], [])]), [0]);
      const places = e.emit('Add', [first, e.ints(Array.from({ length: batch }, (_, i) => i))]);
      const chosen = e.emit('Gather', [outer('order'), places], { axis: int(0) });
      return e.emit('Gather', [outer('rows'), chosen], { axis: int(0) });
    },
    draw: (step, batch) => {
      const picked = new Float32Array(batch * cols);
      for (const [place, row] of order.subarray(step * batch, (step + 1) * batch).entries()) {
        picked.set(data.subarray(Number(row) * cols, (Number(row) + 1) * cols), place * cols);
      }
      return picked;
    },
  };
}
