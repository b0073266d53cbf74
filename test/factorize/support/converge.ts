import type { InitProblem } from '../../../src/factorize/types.js';
import type { FactorPair } from '../../../src/rewrite/types.js';
import { objective } from './objective.js';

const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, x, i) => sum + x * b[i]!, 0);

/** The least loss that L-BFGS (float64, 20 pairs, backtracking) finds from a pair: slow, and independent of `lfai`'s own method. */
export function converge(problem: InitProblem, start: FactorPair, mostSteps = 400): number {
  const size = start.left.data.length;
  const evaluate = (x: Float64Array) => {
    const { value, byLeft, byRight } = objective(problem, x.subarray(0, size), x.subarray(size));
    return { value, gradient: Float64Array.of(...byLeft, ...byRight) };
  };
  let x = Float64Array.of(...start.left.data, ...start.right.data);
  let { value, gradient } = evaluate(x);
  const history: { s: Float64Array; y: Float64Array; product: number }[] = [];
  let stalled = 0;
  for (let step = 0; step < mostSteps && stalled < 10; step++) {
    let direction = gradient.map((g) => -g);
    const weights: number[] = [];
    for (const { s, y, product } of [...history].reverse()) {
      const weight = dot(s, direction) / product;
      weights.push(weight);
      direction = direction.map((d, i) => d - weight * y[i]!);
    }
    const last = history.at(-1);
    if (last !== undefined) {
      const scale = last.product / dot(last.y, last.y);
      direction = direction.map((d) => d * scale);
    }
    for (const { s, y, product } of history) {
      const weight = weights.pop()! - dot(y, direction) / product;
      direction = direction.map((d, i) => d + weight * s[i]!);
    }
    const slope = dot(gradient, direction);
    if (!(slope < 0)) break;
    let length = last === undefined ? Math.min(1, 0.1 / Math.sqrt(dot(gradient, gradient))) : 1;
    let next = evaluate(x.map((xi, i) => xi + length * direction[i]!));
    while (next.value > value + 1e-4 * length * slope && length > 1e-12) {
      length /= 2;
      next = evaluate(x.map((xi, i) => xi + length * direction[i]!));
    }
    if (!(next.value < value)) break;
    stalled = value - next.value < 1e-10 * value ? stalled + 1 : 0;
    const s = direction.map((d) => length * d);
    const y = next.gradient.map((g, i) => g - gradient[i]!);
    const product = dot(s, y);
    if (product > 1e-12 * Math.sqrt(dot(s, s) * dot(y, y))) history.push({ s, y, product });
    if (history.length > 20) history.shift();
    x = x.map((xi, i) => xi + s[i]!);
    ({ value, gradient } = next);
  }
  return value;
}
