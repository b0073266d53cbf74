/**
 * Expectations by brute force, independent of the closed forms: panels of width at most 1 with 16 Gauss–Legendre points
 * in each of two dimensions, split where σ has a kink and finer where a neuron's scale makes σ change fast.
 */

import { gaussLegendre } from '../../../src/factorize/activations/quadrature.js';
import type { Activation } from '../../../src/rewrite/types.js';

const { nodes, weights } = gaussLegendre(16);

export interface Case {
  readonly name: string;
  readonly activation: Activation;
  /** Where it is not smooth. */
  readonly kinks: readonly number[];
}

const entry = (activation: Activation, ...kinks: number[]): Case => ({
  name: Object.values(activation).join(' '),
  activation,
  kinks,
});

/** Every kind of activation. */
export const cases: readonly Case[] = [
  entry({ kind: 'linear' }),
  entry({ kind: 'Relu' }, 0),
  entry({ kind: 'LeakyRelu', alpha: 0.1 }, 0),
  entry({ kind: 'Clip', min: 0, max: 6 }, 0, 6),
  entry({ kind: 'Clip', min: -1, max: 0.5 }, -1, 0.5),
  entry({ kind: 'HardSwish' }, -3, 3),
  entry({ kind: 'HardSigmoid', alpha: 0.2, beta: 0.5 }, -2.5, 2.5),
  entry({ kind: 'SiLU' }),
  entry({ kind: 'Sigmoid' }),
  entry({ kind: 'Tanh' }),
  entry({ kind: 'Gelu' }),
];

const density = (z: number): number => Math.exp(-z * z * 0.5) / Math.sqrt(2 * Math.PI);

/** ∫ f over [low, high], split at the cuts and into panels of width at most 1. */
function integrate(f: (z: number) => number, cuts: readonly number[], low = -9, high = 9): number {
  const ends = [low, ...cuts.filter((z) => z > low && z < high), high].sort((a, b) => a - b);
  let sum = 0;
  for (let i = 0; i + 1 < ends.length; i++) {
    const from = ends[i]!;
    const panels = Math.ceil(ends[i + 1]! - from);
    const width = (ends[i + 1]! - from) / panels;
    for (let p = 0; p < panels; p++) {
      for (let k = 0; k < nodes.length; k++) sum += width * weights[k]! * f(from + width * (p + nodes[k]!));
    }
  }
  return sum;
}

/** Cuts that grow geometrically away from `center`, from a quarter of `scale` on. */
function graded(center: number, scale: number): number[] {
  const cuts = [center];
  for (let d = scale / 4; d < 12; d *= 2) cuts.push(center - d, center + d);
  return cuts;
}

/** E f(z), z ~ N(0, 1). */
export function expectation1(f: (z: number) => number, cuts: readonly number[]): number {
  return integrate((z) => density(z) * f(z), cuts);
}

/** E σ(s·z)². */
export function bruteSecondMoment(value: (x: number) => number, kinks: readonly number[], scale: number): number {
  return expectation1((z) => value(scale * z) ** 2, [...kinks.map((at) => at / scale), ...graded(0, 1 / scale)]);
}

/** E(σ(b) − σ(a))² for standard deviations α, β and the angle θ. */
export function bruteRisk(
  value: (x: number) => number,
  kinks: readonly number[],
  alpha: number,
  beta: number,
  theta: number,
): number {
  const c = Math.cos(theta);
  const s = Math.sin(theta);
  const places = kinks.length === 0 ? [0] : kinks;
  const outer = places.flatMap((at) => [
    ...graded(at / alpha, 1 / alpha),
    ...(Math.abs(c) > 1e-6 ? graded(at / (beta * c), Math.min(1, s + 1 / beta)) : []),
  ]);
  return integrate((z) => {
    const a = value(alpha * z);
    const inner =
      s === 0
        ? (value(beta * c * z) - a) ** 2
        : integrate(
            (y) => density(y) * (value(beta * (c * z + s * y)) - a) ** 2,
            places.flatMap((at) =>
              kinks.length === 0 ? graded((at / beta - c * z) / s, 1 / (beta * s)) : [(at / beta - c * z) / s],
            ),
          );
    return density(z) * inner;
  }, outer);
}
