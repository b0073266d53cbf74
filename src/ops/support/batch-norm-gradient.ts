import type { Value } from '../../graph/value.js';
import type { Emitter } from '../emitter.js';
import { type GradientContext, noFlow } from '../gradient.js';
import { float } from '../../graph/attributes.js';
import { unsupported } from './fail.js';

/** All axes of x [N, C, …] but the channels. */
export function besidesChannels(rank: number): number[] {
  return Array.from({ length: rank }, (_, axis) => axis).filter((axis) => axis !== 1);
}

/** A vector of channels [C], to be broadcast over x [N, C, …]. */
function perChannel(e: Emitter, vector: Value, x: Value): Value {
  return e.reshape(vector, [
    -1,
    ...e
      .dims(x)
      .slice(2)
      .map(() => 1),
  ]);
}

/** 1 / √(variance + ε) */
export function reciprocalDeviation(e: Emitter, variance: Value, epsilon: number): Value {
  return e.emit('Reciprocal', [e.emit('Sqrt', [e.add(variance, e.scalar(epsilon, variance))])]);
}

interface Sums {
  /** x − mean, [N, C, …]. */
  readonly centered: Value;
  /** 1 / √(variance + ε), [C]. */
  readonly rstd: Value;
  readonly dscale: Value;
  readonly dbias: Value;
}

/** dbias = Σ dy and dscale = rstd · Σ dy·(x − mean), which both forms share; with the difference taken before the product. */
function sumsOf({ e, node, inputs, gradients }: GradientContext, mean: Value, variance: Value): Sums {
  const [x, dy] = [inputs[0]!, gradients[0]!];
  const axes = besidesChannels(e.rank(x));
  const centered = e.sub(x, perChannel(e, mean, x));
  const rstd = reciprocalDeviation(e, variance, node.float('epsilon', 1e-5));
  const dscale = e.mul(e.reduceSum(e.mul(dy, centered), axes, false), rstd);
  return { centered, rstd, dscale, dbias: e.reduceSum(dy, axes, false) };
}

/** Statistics of the batch: the node's own outputs where they are unmixed (momentum 0), else computed again. */
function batchStatistics({ e, node, inputs, outputs }: GradientContext): readonly [Value, Value] {
  const x = inputs[0]!;
  const axes = besidesChannels(e.rank(x));
  if (node.float('momentum', 0.9) === 0 && outputs[1] !== undefined && outputs[2] !== undefined) {
    return [outputs[1], outputs[2]];
  }
  const mean = e.reduceMean(x, axes, false);
  const centered = e.sub(x, perChannel(e, mean, x));
  return [mean, e.reduceMean(e.mul(centered, centered), axes, false)];
}

/**
 * Training form, n elements per channel, x̂ = (x − mean)·rstd: dx = scale·rstd·(dy − dbias/n − x̂·dscale/n). The sum in
 * brackets is dy plus one BatchNormalization in inference form, of scale −dscale/n and bias −dbias/n.
 * The inputs 3 and 4 do not reach y; nothing is differentiated through the running statistics.
 */
export function batchNormTrainingGradient(context: GradientContext): (Value | typeof noFlow | undefined)[] {
  const { e, node, inputs, gradients, needs } = context;
  if (gradients[0] === undefined || gradients.slice(1).some((gradient) => gradient !== undefined)) {
    throw unsupported(node, 'the running statistics of BatchNormalization have no gradient');
  }
  const [x, scale] = [inputs[0]!, inputs[1]!];
  const [mean, variance] = batchStatistics(context);
  const { rstd, dscale, dbias } = sumsOf(context, mean, variance);
  const dx = (): Value => {
    const share = e.neg(e.div(e.scalar(1, x), e.count(x, besidesChannels(e.rank(x)))));
    const back = e.emit('BatchNormalization', [x, e.mul(dscale, share), e.mul(dbias, share), mean, variance], {
      epsilon: float(node.float('epsilon', 1e-5)),
    });
    return e.mul(e.add(gradients[0]!, back), perChannel(e, e.mul(scale, rstd), x));
  };
  return [needs[0] === true ? dx() : undefined, dscale, dbias, noFlow, noFlow];
}

/**
 * Inference form, an affine map per channel: dx = scale·rstd·dy, dmean = −scale·rstd·dbias,
 * dvariance = −½·scale·rstd²·dscale.
 */
export function batchNormInferenceGradient(context: GradientContext): (Value | undefined)[] {
  const { e, inputs, gradients, needs } = context;
  const [x, scale, , mean, variance] = inputs;
  const slope = (rstd: Value): Value => e.mul(scale!, rstd);
  if (!needs.slice(1).includes(true)) {
    const rstd = reciprocalDeviation(e, variance!, context.node.float('epsilon', 1e-5));
    return [e.mul(gradients[0]!, perChannel(e, slope(rstd), x!))];
  }
  const { rstd, dscale, dbias } = sumsOf(context, mean!, variance!);
  return [
    needs[0] === true ? e.mul(gradients[0]!, perChannel(e, slope(rstd), x!)) : undefined,
    dscale,
    dbias,
    needs[3] === true ? e.neg(e.mul(slope(rstd), dbias)) : undefined,
    needs[4] === true ? e.scale(e.mul(e.mul(slope(rstd), rstd), dscale), -0.5) : undefined,
  ];
}
