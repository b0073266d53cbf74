import type { Pair } from '../rewrite/joined-layers.js';
import { schemesOf } from '../rewrite/geometry.js';
import { joinSpectra, singularValuesOfGroups } from '../rewrite/group-spectrum.js';
import { type FactorizableLayer, isConvolution } from '../rewrite/layers.js';
import { isOutputMajor, toMatrices } from '../rewrite/layout.js';
import { stableRank } from '../factorize/spectra.js';
import type { FactorPair } from '../rewrite/types.js';
import type { Linalg, Matrix } from '../linalg/types.js';
import type { Spectrum } from '../contracts/inspect.js';
import { pairFactors } from '../rewrite/pair-factors.js';

/** Spectrum of a full-rank layer in the first scheme that it could be factorized by. Throws NUMERIC, ABORTED. */
export async function layerSpectrum(
  layer: FactorizableLayer,
  linalg: Linalg,
  signal: AbortSignal | undefined,
): Promise<Spectrum> {
  const { geometry, form, node } = layer;
  const scheme = schemesOf(geometry, !isConvolution(form))[0]!;
  const matrices = toMatrices(layer.weight.data(), geometry, scheme, isOutputMajor(form, node.int('transB', 0)));
  return summarizeSpectrum(await singularValuesOfGroups(matrices, linalg, signal));
}

/** Spectrum of a pair's product, which is never formed. Throws NUMERIC, ABORTED. */
export async function pairSpectrum(pair: Pair, linalg: Linalg, signal: AbortSignal | undefined): Promise<Spectrum> {
  const spectra: Float64Array[] = [];
  for (const factors of await pairFactors(pair, linalg)) {
    spectra.push(await productSingularValues(factors, linalg, signal));
  }
  return summarizeSpectrum(joinSpectra(spectra));
}

/**
 * The singular values of left · right that are not 0 for want of rank, largest first, without the product unless that is
 * the smaller matrix. With left = Q·S·Pᵀ they are those of S·Pᵀ·right, a matrix of rank rows: Q has orthonormal columns.
 */
export async function productSingularValues(
  { left, right }: FactorPair,
  linalg: Linalg,
  signal: AbortSignal | undefined,
): Promise<Float64Array> {
  if (Math.min(left.rows, right.cols) <= left.cols) {
    return linalg.singularValues(await linalg.gemm(left, right), { signal });
  }
  const { singularValues, right: p } = await linalg.truncatedSvd(left, left.cols, { signal });
  const core = await linalg.gemm(scaleRows(p, singularValues), right);
  return linalg.singularValues(core, { signal });
}

function scaleRows(matrix: Matrix, factors: Float64Array): Matrix {
  const data = new Float32Array(matrix.data.length);
  for (let row = 0, at = 0; row < matrix.rows; row++) {
    for (const end = at + matrix.cols; at < end; at++) data[at] = factors[row]! * matrix.data[at]!;
  }
  return { ...matrix, data };
}

/** From all singular values, largest first: stable rank ‖W‖²_F / σ₁² and the ranks that hold 90 % and 99 % of ‖W‖²_F; 0 for W = 0. */
function summarizeSpectrum(values: Float64Array): Spectrum {
  const squares = values.map((value) => value * value);
  const total = squares.reduce((sum, square) => sum + square, 0);
  const energyRank = (fraction: number): number => {
    if (total === 0) return 0;
    let held = 0;
    // Rounding must not ask for more than all of them.
    const index = squares.findIndex((square) => (held += square) >= fraction * total * (1 - 1e-12));
    return index + 1;
  };
  return {
    singularValues: [...values],
    stableRank: stableRank(squares),
    energy90Rank: energyRank(0.9),
    energy99Rank: energyRank(0.99),
  };
}
