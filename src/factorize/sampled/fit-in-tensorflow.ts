import { setImmediate } from 'node:timers/promises';
import { LowrankError, messageOf, throwIfAborted } from '../../errors.js';
import { transposed } from '../../linalg/transpose.js';
import type { TensorFlow } from '../../runtime/tensorflow.js';
import type { Tensor, TensorFlowApi } from '../../runtime/tensorflow-api.js';
import type { FitEnd, FitRun } from './fit-run.js';
import { sizesOf } from './layer.js';
import { adam } from './loop.js';
import { activate } from './tensorflow-activation.js';

/** A factor with the moments of its gradients. */
interface Trained {
  readonly value: Tensor;
  readonly first: Tensor;
  readonly second: Tensor;
}

/**
 * The fit of `buildFitLoop`, differentiated by TensorFlow.js: mean ‖σ(Ŵx) − σ(Wx)‖² of each batch, a step of Adam. The
 * factors are held transposed: TensorFlow.js multiplies fastest what it need not transpose. Throws RUNTIME or ABORTED.
 */
export async function fitInTensorFlow(run: FitRun, { tf }: TensorFlow): Promise<FitEnd> {
  const { problem, start, steps, batch } = run;
  const { weight, activation, signal } = problem;
  const { neurons, rowsPerNeuron, cols, rank } = sizesOf(problem);
  const width = rowsPerNeuron * cols;
  const losses = new Float32Array(steps);
  const held: Tensor[] = [];
  const hold = (rows: number, columns: number, data: Float32Array): Tensor => {
    const tensor = tf.tensor2d(transposed({ rows, cols: columns, data }).data, [columns, rows]);
    held.push(tensor);
    return tensor;
  };
  let trained: Trained[] = [];
  try {
    const teacher = hold(neurons, width, weight.data);
    const factors = [hold(neurons, rowsPerNeuron * rank, start.left.data), hold(rank, cols, start.right.data)];
    trained = factors.map((value) => ({ value, first: tf.zerosLike(value), second: tf.zerosLike(value) }));
    held.length = 1;
    for (let step = 0; step < steps; step++) {
      throwIfAborted(signal);
      const inputs = run.source.draw(step, batch, width);
      const { loss, next } = tf.tidy(() => {
        const x = tf.tensor2d(inputs, [batch, width]);
        const wanted = activate(tf, activation, tf.matMul(x, teacher));
        const rows = tf.reshape(x, [batch * rowsPerNeuron, cols]);
        const lossOf = (left: Tensor, right: Tensor): Tensor => {
          const coordinates = tf.reshape(tf.matMul(rows, right), [batch, rowsPerNeuron * rank]);
          const outputs = activate(tf, activation, tf.matMul(coordinates, left));
          return tf.div(tf.sum(tf.square(tf.sub(outputs, wanted))), batch);
        };
        const values = trained.map(({ value }) => value);
        const { value: mean, grads } = tf.valueAndGrads(lossOf)(values);
        const moved = trained.map((old, i) => adamStep(tf, old, grads[i]!, run.rates[step]!, step + 1));
        return { loss: mean, next: moved };
      });
      trained.forEach(dispose);
      trained = next;
      try {
        losses[step] = (await loss.data())[0]!;
      } finally {
        loss.dispose();
      }
      // Backends that compute on this thread never give way by themselves: signals and timers wait for it.
      await setImmediate();
    }
    const [left, right] = await Promise.all(trained.map(async ({ value }) => value.data()));
    return {
      left: transposed({ rows: rowsPerNeuron * rank, cols: neurons, data: left as Float32Array }).data,
      right: transposed({ rows: cols, cols: rank, data: right as Float32Array }).data,
      losses,
    };
  } catch (error) {
    if (error instanceof LowrankError) throw error;
    throw new LowrankError('RUNTIME', `TensorFlow.js failed: ${messageOf(error)}`, { cause: error });
  } finally {
    for (const tensor of held) tensor.dispose();
    trained.forEach(dispose);
  }
}

/** Kingma and Ba's step (arXiv 1412.6980), the bias corrections in float64: 1 − 0.999 in float32 is off by 6e-5. */
function adamStep(
  tf: TensorFlowApi,
  { value, first, second }: Trained,
  gradient: Tensor,
  rate: number,
  step: number,
): Trained {
  const { beta1, beta2, epsilon } = adam;
  const m = tf.add(tf.mul(first, beta1), tf.mul(gradient, 1 - beta1));
  const v = tf.add(tf.mul(second, beta2), tf.mul(tf.square(gradient), 1 - beta2));
  const spread = tf.add(tf.div(tf.sqrt(v), Math.sqrt(1 - beta2 ** step)), epsilon);
  const change = tf.mul(tf.div(m, spread), rate / (1 - beta1 ** step));
  return { value: tf.sub(value, change), first: m, second: v };
}

function dispose({ value, first, second }: Trained): void {
  for (const tensor of [value, first, second]) tensor.dispose();
}
