import { LowrankError } from '../errors.js';
import { noFlow } from '../ops/gradient.js';

/** One step of the forward computation and how gradients come back through it. `V` is a value, `G` a gradient of one. */
export interface TapeEntry<V, G> {
  readonly inputs: readonly (V | undefined)[];
  readonly outputs: readonly (V | undefined)[];
  /** For errors. */
  readonly label: string;
  /** Whether anything flows back at all: not through comparisons, rounding, shapes. */
  readonly isDifferentiable: boolean;
  /** One gradient per input that needs it; see GradientRule. */
  backward(
    gradients: readonly (G | undefined)[],
    needs: readonly boolean[],
  ): readonly (G | typeof noFlow | undefined)[];
}

/**
 * Reverse-mode differentiation: walks the tape backwards from the gradients in `seeds` and gives those of `wanted`,
 * undefined where the seeds do not depend on one. Gradients of a value that is read several times are combined by `add`.
 * Throws INTERNAL where an entry leaves out a gradient that is needed. (Griewank and Walther, Evaluating Derivatives, ch. 3.)
 */
export function backward<V, G>(
  tape: readonly TapeEntry<V, G>[],
  seeds: ReadonlyMap<V, G>,
  wanted: readonly V[],
  add: (a: G, b: G) => G,
): ReadonlyMap<V, G> {
  const needed = dependents(tape, wanted);
  const kept = new Set(wanted);
  const gradients = new Map(seeds);
  for (const entry of tape.toReversed()) {
    const incoming = entry.outputs.map((output) => (output === undefined ? undefined : gradients.get(output)));
    const needs = entry.inputs.map((input) => input !== undefined && needed.has(input));
    if (!entry.isDifferentiable || !needs.includes(true) || incoming.every((gradient) => gradient === undefined))
      continue;
    const outgoing = entry.backward(incoming, needs);
    entry.inputs.forEach((input, i) => {
      if (input === undefined || needs[i] !== true) return;
      const gradient = outgoing[i];
      if (gradient === undefined) {
        throw new LowrankError('INTERNAL', `no gradient for input ${i}`, { place: entry.label });
      }
      if (gradient === noFlow) return;
      const sum = gradients.get(input);
      gradients.set(input, sum === undefined ? gradient : add(sum, gradient));
    });
    // What is read is not read again: the memory of the gradient is free from here on.
    for (const output of entry.outputs) {
      if (output !== undefined && !kept.has(output)) gradients.delete(output);
    }
  }
  return new Map(wanted.flatMap((value): [V, G][] => (gradients.has(value) ? [[value, gradients.get(value)!]] : [])));
}

/** All values that depend on `sources` through what is differentiable, the sources included. */
function dependents<V, G>(tape: readonly TapeEntry<V, G>[], sources: readonly V[]): ReadonlySet<V> {
  const reached = new Set(sources);
  for (const { inputs, outputs, isDifferentiable } of tape) {
    if (!isDifferentiable || !inputs.some((input) => input !== undefined && reached.has(input))) continue;
    for (const output of outputs) if (output !== undefined) reached.add(output);
  }
  return reached;
}
