import { LowrankError } from '../../../errors.js';
import type { Matrix } from '../../../linalg/types.js';
import { fillTruncatedNormal, randomStream } from '../../../random.js';
import type { FactorPair, InitProblem } from '../../types.js';
import { columnEnergies, scaleColumns, scaleRows } from './matrix.js';

/** W's projection on a subspace: W ≈ coordinates · basis. */
export interface Projection {
  /** rows × rank: W·basisᵀ. */
  readonly coordinates: Matrix;
  /** rank × cols, orthonormal rows. */
  readonly basis: Matrix;
}

/** The projection on the leading right singular vectors: the best one in the Frobenius norm. */
export async function leadingProjection(problem: InitProblem): Promise<Projection> {
  const { weight, rowsPerNeuron, rank, linalg, seed, signal } = problem;
  const most = Math.min(weight.rows, weight.cols);
  if (!(rank >= 1 && rank <= most) || weight.rows % rowsPerNeuron !== 0) {
    throw new LowrankError(
      'INTERNAL',
      `rank ${rank} and ${rowsPerNeuron} rows per neuron do not fit a ${weight.rows} × ${weight.cols} matrix`,
    );
  }
  const { left, singularValues, right } = await linalg.truncatedSvd(weight, rank, { seed, signal });
  return { coordinates: scaleColumns(left, singularValues), basis: right };
}

/** The pair left · right = coordinates · basis with ‖column k of left‖ = ‖row k of right‖. */
export function splitEvenly({ coordinates, basis }: Projection): FactorPair {
  const roots = columnEnergies(coordinates).map((energy) => Math.sqrt(Math.sqrt(energy)));
  return {
    left: scaleColumns(
      coordinates,
      roots.map((root) => (root > 0 ? 1 / root : 0)),
    ),
    right: scaleRows(basis, roots),
  };
}

/**
 * Coordinates with the norms `norms`, neuron by neuron. `energies` are the squared norms they have. A neuron orthogonal
 * to the subspace gets an arbitrary direction in it: at zero it would have no gradient, and stay there.
 */
export function withNorms(
  coordinates: Matrix,
  rowsPerNeuron: number,
  energies: Float64Array,
  norms: Float64Array,
  seed: number,
): Matrix {
  const scaled = scaleRows(
    coordinates,
    norms.map((norm, i) => (energies[i]! > 0 ? norm / Math.sqrt(energies[i]!) : 0)),
    rowsPerNeuron,
  );
  const size = rowsPerNeuron * coordinates.cols;
  norms.forEach((norm, i) => {
    if (energies[i]! > 0 || norm === 0) return;
    scaled.data.set(
      arbitraryDirection(size, seed, i).map((x) => x * norm),
      i * size,
    );
  });
  return scaled;
}

/** A unit vector, the same for the same seed and neuron. */
export function arbitraryDirection(size: number, seed: number, neuron: number): Float32Array {
  const direction = new Float32Array(size);
  fillTruncatedNormal(randomStream(seed, `direction of neuron ${neuron}`), direction, 0, 1);
  const norm = Math.sqrt(direction.reduce((sum, x) => sum + x * x, 0));
  return direction.map((x) => x / norm);
}
