import type { TapeEntry } from '../../autodiff/backward.js';
import type { TrainedForm } from '../../autodiff/copy-forward.js';
import { nodeEntry } from '../../autodiff/node-entry.js';
import type { Node } from '../../graph/node.js';
import type { Value } from '../../graph/value.js';
import type { Emitter } from '../../ops/emitter.js';
import {
  type Convolution,
  convBiasGradient,
  convDataGradient,
  convolutionOf,
  endsRead,
} from '../../ops/support/conv-gradient.js';

/**
 * A depthwise convolution of images, whose weight gradient is products of matrices: the portable form, a convolution with dy as
 * its kernel, has kernels as large as the image, for which cuDNN has nothing fast.
 */
export const depthwiseByProducts: TrainedForm = (e, node, inputs) => {
  const [x, w] = inputs;
  if (x === undefined || w === undefined || e.rank(x) !== 4 || e.isBatchOpen) return undefined;
  const group = node.int('group', 1);
  if (group === 1 || e.dims(x)[1] !== group || e.dims(w)[0] !== group) return undefined;
  const first = e.graph.nodes.length;
  const y = e.emit('Conv', inputs, Object.fromEntries(node.attributes), { name: node.id });
  return { outputs: [y], tape: e.graph.nodes.slice(first).map((made) => entryOf(e, made)) };
};

/** Of the convolution, or of a cast that half precision put before it. */
function entryOf(e: Emitter, made: Node): TapeEntry<Value, Value> {
  const entry = nodeEntry(e, made);
  if (!made.is('Conv')) return entry;
  const [x, w] = made.inputs as [Value, Value];
  return {
    ...entry,
    backward: (gradients, needs) => {
      const [needsX = false, needsW = false, needsBias = false] = needs;
      const dy = gradients[0]!;
      const convolution = convolutionOf(e, made, x, w, dy);
      const like = (gradient: Value, value: Value): Value => e.cast(gradient, e.typeOf(value).dataType);
      return [
        needsX ? like(convDataGradient(e, convolution, w, dy), x) : undefined,
        needsW ? like(depthwiseWeightByProducts(e, convolution, x, dy), w) : undefined,
        needsBias ? like(convBiasGradient(e, dy), made.inputs[2]!) : undefined,
      ];
    },
  };
}

/**
 * dw [C, 1, kh, kw], where dw[c, i, j] = Σ x[n, c, h·sh + i·dh, v·sw + j·dw] · dy[n, c, h, v] over n, h and v. For each row i of
 * the kernel one product of matrices a channel, over all images and rows, G[c, u, v] = Σ x[n, c, h·sh + i·dh, u] · dy[n, c, h, v];
 * dw[c, i, j] sums the diagonal u = v·sw + j·dw of it, which is a product with a constant of zeros and ones.
 */
export function depthwiseWeightByProducts(e: Emitter, convolution: Convolution, x: Value, dy: Value): Value {
  const { channels, kernel, strides, dilations, begins, input, output } = convolution;
  const [rows, columns] = output as [number, number];
  const ends = endsRead(convolution);
  const width = input[1]! + begins[1]! + ends[1]!;
  const exchange = [1, 0, 2, 3];
  // [C, N, height, width] and [C, N·rows, columns]
  const image = e.pad(e.transpose(x, exchange), [0, 0, ...begins, 0, 0, ...ends]);
  const right = e.reshape(e.transpose(dy, exchange), [channels, -1, columns]);
  const diagonals = new Float32Array(width * columns * kernel[1]!);
  for (let j = 0; j < kernel[1]!; j++) {
    for (let v = 0; v < columns; v++) {
      diagonals[((v * strides[1]! + j * dilations[1]!) * columns + v) * kernel[1]! + j] = 1;
    }
  }
  const sums = e.floats(diagonals, [width * columns, kernel[1]!], e.typeOf(dy).dataType);
  const byRow = Array.from({ length: kernel[0]! }, (_, i) => {
    const start = i * dilations[0]!;
    const met = e.slice(image, [start], [start + (rows - 1) * strides[0]! + 1], [2], [strides[0]!]);
    const left = e.transpose(e.reshape(met, [channels, -1, width]), [0, 2, 1]);
    return e.emit('MatMul', [e.reshape(e.emit('MatMul', [left, right]), [channels, -1]), sums]);
  });
  return e.reshape(e.concat(byRow, 1), [channels, 1, ...kernel]);
}
