import { LowrankError } from '../../../errors.js';
import type { Matrix } from '../../../linalg/types.js';
import { fillTruncatedNormal, randomStream } from '../../../random.js';
import type { InitProblem } from '../../types.js';
import type { FactorPair } from '../../../rewrite/types.js';
import { columnEnergies, groupEnergies, scaleColumns, scaleRows } from './matrix.js';

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
  return { coordinates: scaleColumns(left, singularValues, left.data), basis: right };
}

/** The pair left · right = coordinates · basis with ‖column k of left‖ = ‖row k of right‖. */
export function splitEvenly(projection: Projection): FactorPair {
  return splitInto(projection, {});
}

/** The same in the memory of the projection, which is of no use afterwards. */
export function splitInPlace(projection: Projection): FactorPair {
  return splitInto(projection, { left: projection.coordinates.data, right: projection.basis.data });
}

function splitInto(
  { coordinates, basis }: Projection,
  memory: { readonly left?: Float32Array; readonly right?: Float32Array },
): FactorPair {
  const roots = columnEnergies(coordinates).map((energy) => Math.sqrt(Math.sqrt(energy)));
  const inverses = roots.map((root) => (root > 0 ? 1 / root : 0));
  return {
    left: scaleColumns(coordinates, inverses, memory.left),
    right: scaleRows(basis, roots, 1, memory.right),
  };
}

/** A cosine below this is one of rounding: the neuron counts as orthogonal to the subspace. */
const orthogonal = 1e-5;

/** |projection|² of each neuron; 0 where it is orthogonal to the subspace. `norms` are the |w|. */
export function projectedEnergies(coordinates: Matrix, rowsPerNeuron: number, norms: Float64Array): Float64Array {
  return groupEnergies(coordinates, rowsPerNeuron).map((energy, i) =>
    energy > (orthogonal * norms[i]!) ** 2 ? energy : 0,
  );
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
  const factors = norms.map((norm, i) => (energies[i]! > 0 ? norm / Math.sqrt(energies[i]!) : 0));
  const scaled = scaleRows(coordinates, factors, rowsPerNeuron);
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

/** A unit vector, the same for the same seed, neuron and attempt. */
export function arbitraryDirection(size: number, seed: number, neuron: number, attempt = 0): Float32Array {
  const direction = new Float32Array(size);
  fillTruncatedNormal(randomStream(seed, `direction ${attempt} of neuron ${neuron}`), direction, 0, 1);
  const norm = Math.sqrt(direction.reduce((sum, x) => sum + x * x, 0));
  return direction.map((x) => x / norm);
}
