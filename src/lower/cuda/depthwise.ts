import type { TapeEntry } from '../../autodiff/backward.js';
import type { TrainedForm } from '../../autodiff/copy-forward.js';
import { nodeEntry } from '../../autodiff/node-entry.js';
import type { Node } from '../../graph/node.js';
import type { Value } from '../../graph/value.js';
import type { Emitter } from '../../ops/emitter.js';
import { convBiasGradient, convDataGradient } from '../../ops/support/conv-gradient.js';
import { convolutionOf } from '../../ops/support/convolution.js';
import { depthwiseWeightByProducts } from '../../ops/support/depthwise-gradient.js';

/**
 * A depthwise convolution of images, whose weight gradient is products of matrices: the portable form, a convolution with dy as
 * its kernel, has kernels as large as the image, for which cuDNN has nothing fast.
 */
export const depthwiseByProducts: TrainedForm = (e, node, inputs) => {
  const [x, w] = inputs;
  if (x === undefined || w === undefined || e.rank(x) !== 4) return undefined;
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
