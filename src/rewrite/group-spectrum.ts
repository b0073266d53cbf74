import type { Linalg, Matrix } from '../linalg/types.js';

/**
 * Singular values of a layer's matrix, largest first; of several groups, whose pairs have one rank in common, the root of the sum of
 * squares of the k-th ones, so that Σ σ² from r on is what the best pairs of rank r lose in all. Throws NUMERIC, ABORTED.
 */
export async function singularValuesOfGroups(
  matrices: readonly Matrix[],
  linalg: Linalg,
  signal: AbortSignal | undefined,
): Promise<Float64Array> {
  const spectra: Float64Array[] = [];
  for (const matrix of matrices) spectra.push(await linalg.singularValues(matrix, { signal }));
  return joinSpectra(spectra);
}

/** The same of spectra that are known. */
export function joinSpectra(spectra: readonly Float64Array[]): Float64Array {
  if (spectra.length === 1) return spectra[0]!;
  return spectra[0]!.map((_, at) => Math.hypot(...spectra.map((values) => values[at]!)));
}
