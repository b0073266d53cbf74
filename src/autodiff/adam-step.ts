import type { Value } from '../graph/value.js';
import { DOUBLE, FLOAT } from '../onnx/data-type.js';
import type { Emitter } from '../ops/emitter.js';

/** Decay rates of the two moments, and what keeps the division finite. */
export interface AdamSettings {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
}

/** What one step has in common for all tensors. */
export interface AdamRates {
  /** lr / (1 − β₁ᵗ) */
  readonly rate: Value;
  /** √(1 − β₂ᵗ) */
  readonly root: Value;
}

/** A tensor's gradient and the moments before the step, all of one shape; zeros before the first step. */
export interface AdamState {
  readonly gradient: Value;
  readonly first: Value;
  readonly second: Value;
}

/** The numbers that `adamRates` computes in every step, for the learning rates of all steps. */
export function adamRateTables(
  { beta1, beta2 }: Pick<AdamSettings, 'beta1' | 'beta2'>,
  learningRates: Float32Array,
): { readonly rates: Float32Array; readonly roots: Float32Array } {
  const correction = (beta: number, step: number): number => Math.fround(1 - beta ** (step + 1));
  return {
    rates: learningRates.map((rate, step) => rate / correction(beta1, step)),
    roots: learningRates.map((_, step) => Math.sqrt(correction(beta2, step))),
  };
}

/** Emits the bias corrections of step `step` (int64 scalar, from 1). */
export function adamRates(
  e: Emitter,
  { beta1, beta2 }: Pick<AdamSettings, 'beta1' | 'beta2'>,
  learningRate: Value,
  step: Value,
): AdamRates {
  // In float64: 1 − 0.999 in float32 is off by 6e-5.
  const t = e.cast(step, DOUBLE);
  const one = e.floats([1], [], DOUBLE);
  const correction = (beta: number): Value =>
    e.cast(e.sub(one, e.emit('Pow', [e.floats([beta], [], DOUBLE), t])), FLOAT);
  return { rate: e.div(learningRate, correction(beta1)), root: e.emit('Sqrt', [correction(beta2)]) };
}

/**
 * Emits m = β₁ m + (1 − β₁) g, v = β₂ v + (1 − β₂) g² and the change lr (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε), which is
 * to be taken away from the tensor (Kingma and Ba, arXiv 1412.6980).
 */
export function adamStep(
  e: Emitter,
  { beta1, beta2, epsilon }: AdamSettings,
  { gradient, first, second }: AdamState,
  { rate, root }: AdamRates,
): { readonly first: Value; readonly second: Value; readonly change: Value } {
  const m = e.add(e.scale(first, beta1), e.scale(gradient, 1 - beta1));
  const v = e.add(e.scale(second, beta2), e.scale(e.mul(gradient, gradient), 1 - beta2));
  const spread = e.div(e.emit('Sqrt', [v]), root);
  return { first: m, second: v, change: e.mul(e.div(m, e.add(spread, e.scalar(epsilon))), rate) };
}
