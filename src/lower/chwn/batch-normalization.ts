import { float, int } from '../../graph/attributes.js';
import type { Value } from '../../graph/value.js';
import { sizeOf } from '../../ops/support/layout.js';
import { affineSum, blockedFor, productSum } from './blocked.js';
import { type Gradient, whole } from './gradient.js';
import type { LowerContext, LoweringRule } from './rule.js';

/** What a BatchNormalization normalized with, all [C]. */
export interface NormalizedBy {
  readonly mean: Value;
  /** 1/√(variance + ε) */
  readonly reciprocal: Value;
}

/**
 * BatchNormalization by the statistics of the batch: the operator in its training form (ai.onnx 14, 15) on [1, C, M], with
 * momentum 0, so that its second and third output are the mean and the biased variance of the batch.
 */
export const batchNormalization: LoweringRule = (node, { dims, e }) => {
  if (!node.is('BatchNormalization') || e.opset < 14) return undefined;
  const [x, scale, bias, runningMean, runningVariance] = node.inputs;
  if (x === undefined || scale === undefined || bias === undefined) return undefined;
  if (runningMean === undefined || runningVariance === undefined || dims(x).length < 2) return undefined;
  const epsilon = node.float('epsilon', 1e-5);
  return {
    emit: (context) => {
      const input = context.batchLast(x);
      const all = e.dims(input);
      const [channels, count] = [all[0]!, sizeOf(all.slice(1))];
      const buffers = [runningMean, runningVariance].map((value) => privateCopy(context, context.inModel(value)));
      const [gamma, beta] = [context.inModel(scale), context.inModel(bias)];
      const rows = e.reshape(input, [1, channels, count]);
      const [normalized, mean, variance] = e.emitAll(
        'BatchNormalization',
        [rows, gamma, beta, ...buffers],
        { epsilon: float(epsilon), momentum: float(0), training_mode: int(1) },
        { outputs: 3, name: node.id },
      );
      const y = e.reshape(normalized!, all);
      const reciprocal = e.emit('Reciprocal', [e.emit('Sqrt', [e.add(variance!, e.scalar(epsilon))])]);
      context.addStatistics(node, {
        runningMean,
        runningVariance,
        mean: mean!,
        variance: variance!,
        count: e.scalar(count),
        momentum: node.float('momentum', 0.9),
      });
      context.record({
        inputs: [input, gamma, beta],
        outputs: [y],
        label: node.label,
        backward: ([gradient]) =>
          normalizationGradient(context, input, gamma, whole(e, gradient!, y), { mean: mean!, reciprocal }),
      });
      context.define(node.outputs[0]!, y, 'batch-last');
    },
  };
};

/**
 * With x̂ = (x − mean)·r, r the reciprocal deviation, and M elements per channel: dβ = Σ dy, dγ = Σ dy·x̂ =
 * r·(Σ dy·x − mean·dβ), dx = γ·r · (dy − dβ/M − x̂·dγ/M). What stands in the brackets beside dy is an affine function of
 * x per channel: an inference-form BatchNormalization with mean 0, variance 1 and ε 0. γ·r is left to whoever made x.
 */
function normalizationGradient(
  { e, options }: LowerContext,
  x: Value,
  gamma: Value,
  dy: Value,
  { mean, reciprocal }: NormalizedBy,
): Gradient[] {
  const all = e.dims(x);
  const [channels, count] = [all[0]!, sizeOf(all.slice(1))];
  const sum = (value: Value): Value => e.reduceSum(e.reshape(value, [channels, count]), [1], false);
  const dBeta = sum(dy);
  const blocked = blockedFor(e, x, options);
  const products = blocked === undefined ? sum(e.mul(dy, x)) : productSum(e, x, dy, blocked);
  const dGamma = e.mul(reciprocal, e.sub(products, e.mul(mean, dBeta)));
  const slope = e.scale(e.mul(reciprocal, dGamma), -1 / count);
  const offset = e.sub(e.scale(dBeta, -1 / count), e.mul(slope, mean));
  const added = (): Value => {
    const [zeros, ones] = [0, 1].map((value) => e.floats(new Float32Array(channels).fill(value)));
    const rows = e.reshape(x, [1, channels, count]);
    const affine = e.emit('BatchNormalization', [rows, slope, offset, zeros, ones], { epsilon: float(0) });
    return e.add(dy, e.reshape(affine, all));
  };
  const value = blocked === undefined ? added() : affineSum(e, x, slope, offset, dy, blocked);
  return [{ value, scale: e.mul(gamma, reciprocal) }, { value: dGamma }, { value: dBeta }];
}

/**
 * A buffer that nothing else reads, with the values of `value` [C]: onnxruntime writes the running statistics over the
 * inputs that they are computed from, whoever else reads those. Each copy is another expression, so none are merged.
 */
function privateCopy({ e }: LowerContext, value: Value): Value {
  const copies = value.uses.filter(({ node }) => node.is('Max')).length;
  return e.emit(
    'Max',
    Array.from({ length: copies + 2 }, () => value),
  );
}
