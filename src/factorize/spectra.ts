import { throwIfAborted } from '../errors.js';
import type { Scheme } from '../contracts/convert.js';
import type { Candidate } from './candidates.js';
import { singularValuesOfGroups } from '../rewrite/group-spectrum.js';
import { isOutputMajor, toMatrices } from '../rewrite/layout.js';
import { allowedSchemes } from './plan-choice.js';
import type { PlanContext } from './plan-types.js';

/** Squared singular values of each allowed scheme, largest first. */
export async function spectra(
  candidates: readonly Candidate[],
  context: PlanContext,
): Promise<Map<Candidate, Map<Scheme, Float64Array>>> {
  const result = new Map<Candidate, Map<Scheme, Float64Array>>();
  let done = 0;
  for (const candidate of candidates) {
    throwIfAborted(context.signal);
    const { layer } = candidate;
    const data = layer.weight.data();
    const outputMajor = isOutputMajor(layer.form, layer.node.int('transB', 0));
    const bySchemes = await Promise.all(
      allowedSchemes(candidate, context.settings).map(async (scheme) => {
        const matrices = toMatrices(data, layer.geometry, scheme, outputMajor);
        const values = await singularValuesOfGroups(matrices, context.linalg, context.signal);
        return [scheme, values.map((value) => value * value)] as const;
      }),
    );
    result.set(candidate, new Map(bySchemes));
    done++;
    context.onProgress?.(done, candidates.length, layer.label);
  }
  return result;
}

/** tail[r] = fraction of ‖W‖²_F that the best approximation of rank r loses. */
export function tailEnergies(squares: Float64Array): Float64Array {
  const tail = new Float64Array(squares.length + 1);
  for (let r = squares.length - 1; r >= 0; r--) tail[r] = tail[r + 1]! + squares[r]!;
  const total = tail[0]!;
  return total === 0 ? tail : tail.map((value) => value / total);
}

/** ‖W‖²_F / ‖W‖²₂ from squared singular values, largest first; 0 for W = 0. */
export function stableRank(squares: Float64Array): number {
  const total = squares.reduce((sum, square) => sum + square, 0);
  return total === 0 ? 0 : total / squares[0]!;
}
