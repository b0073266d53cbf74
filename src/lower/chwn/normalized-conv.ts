import type { Node } from '../../graph/node.js';
import type { Value } from '../../graph/value.js';
import type { Emitter } from '../../ops/emitter.js';
import { sizeOf } from '../../ops/support/layout.js';
import { multiply, multiplyTransposed } from './conv-operator.js';
import { scaledRows } from './conv-parts.js';
import { gatherSum, gatherTaps } from './gather.js';
import { type Gradient, whole } from './gradient.js';
import type { LowerContext, LoweringRule } from './rule.js';
import { adjointTable, convGeometry, type Geometry, isPointwise, windowTable } from './window.js';

/** Largest rows read per output channel for which this is the faster way. */
const largestShare = 0.5;

/**
 * Conv and the BatchNormalization behind it, where the convolution reads far fewer rows, K = I·k, than it writes channels.
 * With D [K, M] the rows less their means and C = D Dᵀ/M their covariance, the output less its mean is Z = W D, its variance
 * the diagonal of W C Wᵀ, and the normalized output one product: Y = [γrW | β] [D; 1], r = 1/√(variance + ε). Nothing of
 * the size of the output is read for its statistics. The mean of the convolution is W times the means, plus its bias, which
 * changes nothing else.
 */
export const normalizedConv: LoweringRule = (node, context) => {
  const { dims, isReadOnce } = context;
  const [middle, scale, bias, runningMean, runningVariance] = node.inputs;
  const producer = middle?.producer;
  if (!node.is('BatchNormalization') || producer?.is('Conv') !== true || !isReadOnce(middle!)) return undefined;
  if (scale === undefined || bias === undefined || runningMean === undefined || runningVariance === undefined)
    return undefined;
  const [input, weight, convBias] = producer.inputs;
  if (input === undefined || weight === undefined || producer.int('group', 1) !== 1) return undefined;
  const [outputs, ...inner] = dims(weight) as [number, ...number[]];
  const geometry = convGeometry(producer, inner.slice(1), dims(input).slice(2));
  if (sizeOf(inner) > largestShare * outputs) return undefined;
  return {
    absorbs: [producer],
    emit: (at) => {
      const layer = {
        x: at.batchLast(input),
        weight: at.inModel(weight),
        convBias: convBias === undefined ? undefined : at.inModel(convBias),
        gamma: at.inModel(scale),
        beta: at.inModel(bias),
        geometry,
        epsilon: node.float('epsilon', 1e-5),
      };
      const { y, mean, variance, count } = emit(at, node, layer);
      at.addStatistics(node, {
        runningMean,
        runningVariance,
        mean,
        variance,
        count: at.e.scalar(count),
        momentum: node.float('momentum', 0.9),
      });
      at.define(node.outputs[0]!, y, 'batch-last');
    },
  };
};

interface Layer {
  readonly x: Value;
  readonly weight: Value;
  readonly convBias: Value | undefined;
  readonly gamma: Value;
  readonly beta: Value;
  readonly geometry: Geometry;
  readonly epsilon: number;
}

interface Normalized {
  readonly y: Value;
  readonly mean: Value;
  readonly variance: Value;
  readonly count: number;
}

/** What the way back needs, in the letters of the rule. */
interface Kept {
  readonly w: Value;
  readonly r: Value;
  /** W C */
  readonly wc: Value;
  /** [D; 1] */
  readonly d1: Value;
  readonly gammaR: Value;
}

function emit({ e, record }: LowerContext, node: Node, layer: Layer): Normalized {
  const { x, weight, convBias, gamma, beta, geometry, epsilon } = layer;
  const [channels, batch] = [e.dims(x)[0]!, e.dims(x).at(-1)!];
  const outputs = e.dims(weight)[0]!;
  const [from, to] = [sizeOf(geometry.from), sizeOf(geometry.to)];
  const [rows, count] = [channels * geometry.taps, to * batch];
  const view = e.reshape(x, [channels, from, batch]);
  const h = e.reshape(isPointwise(geometry) ? view : gatherTaps(e, view, windowTable(geometry)), [rows, count]);
  const means = e.reduceMean(h, [1]);
  const d = e.sub(h, means);
  const d1 = e.concat([d, e.floats(new Float32Array(count).fill(1), [1, count])], 0);
  const w = e.reshape(weight, [outputs, rows]);
  const wc = e.emit('MatMul', [w, e.gemm(d, d, { transB: true, alpha: 1 / count })]);
  // Never below zero but by rounding.
  const variance = e.emit('Relu', [e.reduceSum(e.mul(wc, w), [1], false)]);
  const r = e.emit('Reciprocal', [e.emit('Sqrt', [e.add(variance, e.scalar(epsilon))])]);
  const gammaR = e.mul(gamma, r);
  const folded = e.concat([scaledRows(e, w, gammaR), e.reshape(beta, [outputs, 1])], 1);
  const product = multiply(e, folded, d1);
  const y = e.reshape(product, [outputs, ...geometry.to, batch]);
  const product0 = e.reshape(e.emit('MatMul', [w, means]), [outputs]);
  record({
    inputs: [x, weight, convBias, gamma, beta],
    outputs: [y],
    label: node.label,
    backward: ([gradient], needs) => back(e, layer, { w, r, wc, d1, gammaR }, whole(e, gradient!, y), needs),
  });
  return { y, mean: convBias === undefined ? product0 : e.add(product0, convBias), variance, count };
}

/**
 * With G = dY [D; 1]ᵀ = [dY Dᵀ | Σ dY]: dβ = Σ dY, dγ = r · rowsum(dY Dᵀ ⊙ W), dW = γr (dY Dᵀ − r dγ W C), and dX from
 * dH = (γrW)ᵀ dY − Wᵀ [diag(γr²dγ/M) W | γr dβ/M] [D; 1]. The convolution's own bias moves nothing.
 */
function back(
  e: Emitter,
  { x, weight, convBias, gamma, geometry }: Layer,
  { w, r, wc, d1, gammaR }: Kept,
  gradient: Value,
  needs: readonly boolean[],
): (Gradient | undefined)[] {
  const [outputs, rows] = e.dims(w) as [number, number];
  const count = e.dims(d1)[1]!;
  const dy = e.reshape(gradient, [outputs, count]);
  const g = e.gemm(dy, d1, { transB: true });
  const [products, sums] = e.split(g, [rows, 1], 1) as [Value, Value];
  const dBeta = e.reshape(sums, [outputs]);
  const dGamma = e.mul(r, e.reduceSum(e.mul(products, w), [1], false));
  const slope = e.mul(r, dGamma);
  const dw = scaledRows(e, e.sub(products, scaledRows(e, wc, slope)), gammaR);
  const dx = (): Value => {
    const table = isPointwise(geometry) ? undefined : adjointTable(geometry);
    const extra = table?.hasPadding === true ? 1 : 0;
    const scaled = scaledRows(e, w, gammaR);
    const factors = e.scale(e.concat([scaledRows(e, w, slope), e.reshape(dBeta, [outputs, 1])], 1), -1 / count);
    const small = e.gemm(scaled, factors, { transA: true });
    // A column and a row of zeros more for what padding reads.
    const affine = multiply(e, e.pad(small, [0, 0, extra, 0]), d1);
    const dh = e.add(multiplyTransposed(e, e.pad(scaled, [0, 0, 0, extra]), dy), affine);
    if (table === undefined) return e.reshapeLike(dh, x);
    const [channels, batch] = [e.dims(x)[0]!, e.dims(x).at(-1)!];
    return e.reshapeLike(gatherSum(e, e.reshape(dh, [rows + extra, table.from, batch]), channels, table), x);
  };
  return [
    needs[0] === true ? { value: dx() } : undefined,
    needs[1] === true ? { value: e.reshapeLike(dw, weight) } : undefined,
    needs[2] === true ? { value: e.zerosLike(convBias!) } : undefined,
    { value: e.reshapeLike(dGamma, gamma) },
    { value: dBeta },
  ];
}
