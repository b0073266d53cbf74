import { float, int } from '../../graph/attributes.js';
import type { Value } from '../../graph/value.js';
import type { Emitter } from '../emitter.js';
import type { TrainingContext, TrainingForm } from '../training.js';
import { besidesChannels } from './batch-norm-gradient.js';

/**
 * BatchNormalization on the statistics of the batch: the operator with training_mode 1 and momentum 0, whose outputs 1 and
 * 2 are then the batch's mean and biased variance.
 *
 * onnxruntime writes these two outputs into the memory of inputs 3 and 4, whatever else reads them: running statistics
 * would be lost under their other readers, and two layers with the same ones would overwrite each other's. With momentum 0
 * the values of the inputs do not matter, so each node gets two buffers of its own (see `buffers`).
 */
export function batchNormTraining({ node, e, inputs }: TrainingContext): TrainingForm {
  const [x, scale, bias] = inputs;
  // Statistics are float32: what half rounds would make two buffers one.
  const wide = e.wide(x!);
  const [y, mean, variance] = e.emitAll(
    'BatchNormalization',
    [x, scale, bias, ...buffers(e, wide)],
    { epsilon: float(node.float('epsilon', 1e-5)), momentum: float(0), training_mode: int(1) },
    { outputs: 3, name: node.id },
  );
  const [, , , runningMean, runningVariance] = node.inputs;
  const statistics = {
    runningMean: runningMean!,
    runningVariance: runningVariance!,
    mean: mean!,
    variance: variance!,
    count: e.count(wide, besidesChannels(e.rank(x!))),
    momentum: node.float('momentum', 0.9),
  };
  return { outputs: [y], statistics };
}

/**
 * Two vectors [C] that nothing else reads and that no optimizer replaces by something shared: computed at run time from
 * some elements of x (never a constant to be folded), times a factor that no other buffer of the graph has (never a common
 * subexpression), below 1 (finite where x is).
 */
function buffers(e: Emitter, x: Value): readonly [Value, Value] {
  const dims = e.dims(x);
  const axes = besidesChannels(dims.length);
  const some = e.reshape(
    e.slice(
      x,
      axes.map(() => 0),
      axes.map(() => 1),
      axes,
    ),
    [dims[1]!],
  );
  const buffer = (): Value => e.mul(some, e.scalar(1 / (2 + e.graph.nodes.length), x));
  return [buffer(), buffer()];
}
