import type { Linalg, Matrix, Matrix64 } from '../linalg/types.js';
import { permute } from '../ops/support/permute.js';
import { largestRank } from '../rewrite/geometry.js';
import type { FactorPair } from '../rewrite/types.js';
import { regularize } from './calibration/regularize.js';
import type { LayerSamples, Moments } from './calibration/types.js';
import { inverseOf, leadingVectors } from './inits/support/reduced-rank.js';
import type { FittedPair, Init, InitProblem } from './types.js';

/**
 * Tucker-2: W (out × in × window) ≈ left · core · (basis ⊗ I), a core of rank × inner × window between two 1×1 factors. The basis,
 * which the input channels are projected on, comes from the higher-order SVD (De Lathauwer, De Moor and Vandewalle, "A multilinear
 * singular value decomposition", 2000) and alternating least squares (the same authors, "On the best rank-1 and
 * rank-(R1,…,RN) approximation of higher-order tensors", 2000); with moments of what the layer sees, in coordinates in which the input
 * channels, over all places of the window, are uncorrelated and of variance 1. What is left is a layer of fewer input channels,
 * whose pair the initialization fits as it fits any.
 */
export interface TuckerModes {
  /** in × (out, window): the weight, its input channels in those coordinates. */
  readonly scaled: Matrix64;
  /** in × in: rows are these coordinates, of the channels as they are; undefined where they are the same. */
  readonly whitening: Matrix64 | undefined;
  readonly out: number;
  /** Numbers of the window. */
  readonly area: number;
  readonly linalg: Linalg;
  readonly signal: AbortSignal | undefined;
}

/** Ranks of a Tucker pair: what lies behind the first factor, and before the last. */
export interface TuckerRanks {
  readonly inner: number;
  readonly rank: number;
}

/** Times the basis is fitted anew, to the outputs that are kept. */
const rounds = 2;

/** The weight is out × in·window. */
export async function tuckerModes(
  { weight, linalg, signal }: Pick<InitProblem, 'weight' | 'linalg' | 'signal'>,
  area: number,
  moments: Moments | undefined,
): Promise<TuckerModes> {
  const [out, inputs] = [weight.rows, weight.cols / area];
  const byInput = {
    rows: inputs,
    cols: out * area,
    data: Float64Array.from(permute(weight.data, [out, inputs, area], [1, 0, 2])),
  };
  const shape = { out, area, linalg, signal };
  if (moments === undefined) return { ...shape, scaled: byInput, whitening: undefined };
  const { values, vectors } = await linalg.symmetricEigen(channelMoments(moments, area), inputs, { signal });
  const roots = values.map((value) => Math.sqrt(Math.max(value, values[0]! * 1e-12)));
  const scaled = await linalg.gemm64(scaleRows(vectors, roots), byInput, { signal });
  const inverses = roots.map((root) => 1 / root);
  return { ...shape, scaled, whitening: scaleRows(vectors, inverses) };
}

/** E[xᵢxⱼ] of the input channels, over all places of the window. */
function channelMoments(moments: Moments, area: number): Matrix64 {
  const { second } = regularize(moments);
  const n = second.rows / area;
  const data = new Float64Array(n * n);
  for (let i = 0, at = 0; i < n; i++) {
    for (let j = 0; j < n; j++, at++) {
      for (let p = 0; p < area; p++)
        data[at] = data[at]! + second.data[(i * area + p) * second.cols + j * area + p]! / area;
    }
  }
  return { rows: n, cols: n, data };
}

/**
 * Of the multiples that fit as ranks, those whose truncated higher-order SVD keeps most, with the error that it makes (of ‖W‖_F,
 * in the coordinates of the modes); undefined where none do. Where ranks fit, smaller ones do.
 */
export async function bestRanks(
  modes: TuckerModes,
  multiple: number,
  fits: (ranks: TuckerRanks) => boolean,
): Promise<(TuckerRanks & { readonly loss: number }) | undefined> {
  const { scaled, out, area, linalg, signal } = modes;
  const inputs = scaled.rows;
  const most = Math.min(out, inputs * area);
  const basis = await leading(modes, scaled, inputs);
  const left = await leading(modes, byOutput(modes, scaled), most);
  const turned = byOutput(modes, await linalg.gemm64(basis, scaled, { signal }));
  const core = (await linalg.gemm64(left, turned, { signal })).data;
  /** Of the numbers of the core with fewer indices in each mode, by row and column. */
  const kept = new Float64Array((most + 1) * (inputs + 1));
  for (let row = 0; row < most; row++) {
    for (let col = 0; col < inputs; col++) {
      let own = 0;
      for (let at = (row * inputs + col) * area; at < (row * inputs + col + 1) * area; at++) own += core[at]! ** 2;
      const at = (row + 1) * (inputs + 1) + col + 1;
      kept[at] = own + kept[at - 1]! + kept[at - inputs - 1]! - kept[at - inputs - 2]!;
    }
  }
  let best: (TuckerRanks & { readonly energy: number }) | undefined;
  for (let rank = multiple; rank <= most; rank += multiple) {
    const steps = largestRank(Math.floor(inputs / multiple), (count) => fits({ inner: count * multiple, rank }));
    const inner = steps * multiple;
    // More than the core can use.
    if (inner === 0 || rank > inner * area) continue;
    const energy = kept[rank * (inputs + 1) + inner]!;
    if (best === undefined || energy > best.energy) best = { inner, rank, energy };
  }
  if (best === undefined) return undefined;
  const total = kept.at(-1)!;
  const lost = total > 0 ? Math.max(0, 1 - best.energy / total) : 0;
  return { inner: best.inner, rank: best.rank, loss: Math.sqrt(lost) };
}

/** The pair of an initialization behind the best basis, both factors and the basis of like norms. */
export async function fitTucker(
  init: Init,
  problem: InitProblem,
  modes: TuckerModes,
  inner: number,
): Promise<FittedPair> {
  const basis = await inputBasis(modes, inner, problem.rank);
  const fitted = await init.fit(await behindBasis(problem, modes, basis, init.needs !== undefined));
  return { ...fitted, ...(await expanded(fitted, basis, modes)) };
}

/** inner × in. */
async function inputBasis(modes: TuckerModes, inner: number, rank: number): Promise<Matrix64> {
  const { scaled, area, linalg, signal, whitening } = modes;
  if (inner === scaled.rows) return identity(inner);
  let basis = await leading(modes, scaled, inner);
  for (let round = 0; round < rounds; round++) {
    const seen = byOutput(modes, await linalg.gemm64(basis, scaled, { signal }));
    const count = Math.min(rank, seen.cols);
    const left = await leading(modes, seen, count);
    const { data } = await linalg.gemm64(left, byOutput(modes, scaled), { signal });
    const projected = permute(data, [count, scaled.rows, area], [1, 0, 2]);
    basis = await leading(modes, { rows: scaled.rows, cols: count * area, data: projected }, inner);
  }
  return whitening === undefined ? basis : linalg.gemm64(basis, whitening, { signal });
}

/** What lies behind the basis, as a layer: the regression of what the layer computes on it, and all that is known of its inputs. */
async function behindBasis(
  problem: InitProblem,
  modes: TuckerModes,
  basis: Matrix64,
  isFittedToData: boolean,
): Promise<InitProblem> {
  const { weight, data, linalg, signal } = problem;
  const { area } = modes;
  // All channels as they are: nothing is lost, nor rounded.
  if (basis.rows === basis.cols) return problem;
  const along = (rows: number, values: Float32Array | Float64Array): Promise<Matrix64> =>
    alongInputs(linalg, basis, area, rows, values);
  const cols = basis.rows * area;
  if (data === undefined || !isFittedToData) {
    const { data: own } = await along(weight.rows, weight.data);
    return { ...problem, data: undefined, weight: { rows: weight.rows, cols, data: Float32Array.from(own) } };
  }
  const momentsBehind = async ({ count, mean, second }: Moments): Promise<Moments> => {
    const half = await along(second.rows, second.data);
    const both = await along(cols, transposed(half));
    return { count, mean: (await along(1, mean)).data, second: both };
  };
  const { second } = regularize(data.moments);
  const seen = await along(second.rows, second.data);
  const gram = await along(cols, transposed(seen));
  const inverse = await inverseOf(linalg, gram, signal);
  const cross = await linalg.gemm64(weight, seen, { signal });
  const regression = inverse === undefined ? cross : await linalg.gemm64(cross, inverse, { signal });
  const reduced: Matrix = { rows: weight.rows, cols, data: Float32Array.from(regression.data) };
  const { sequential } = data;
  return {
    ...problem,
    weight: reduced,
    data: {
      ...data,
      moments: await momentsBehind(data.moments),
      ...(sequential === undefined
        ? {}
        : {
            sequential: {
              moments: await momentsBehind(sequential.moments),
              samples: await samplesBehind(problem, sequential.samples, reduced, along),
            },
          }),
    },
  };
}

/** The same samples for the layer behind the basis: what others add to its outputs stays as it was. */
async function samplesBehind(
  { weight, linalg }: InitProblem,
  samples: LayerSamples,
  reduced: Matrix,
  along: (rows: number, values: Float32Array) => Promise<Matrix64>,
): Promise<LayerSamples> {
  const { inputs, current, scale } = samples;
  const { data } = await along(inputs.rows, inputs.data);
  const own: Matrix = { rows: inputs.rows, cols: reduced.cols, data: Float32Array.from(data) };
  const before = await linalg.gemm(inputs, weight, { transposeB: true });
  const behind = await linalg.gemm(own, reduced, { transposeB: true });
  const values = current.data.map(
    (value, at) => value + scale[at % current.cols]! * (behind.data[at]! - before.data[at]!),
  );
  return { ...samples, inputs: own, current: { ...current, data: values } };
}

/** The pair whose `right` is core · (basis ⊗ I), with the free scales between the factors chosen so that norms are even. */
async function expanded(
  { left, right }: FactorPair,
  basis: Matrix64,
  { area, linalg, signal }: TuckerModes,
): Promise<FactorPair> {
  const { rows: rank, cols } = right;
  const inner = basis.rows;
  const squares = (length: number, indexOf: (at: number) => number, data: ArrayLike<number>): Float64Array => {
    const sums = new Float64Array(length);
    for (let at = 0; at < data.length; at++) sums[indexOf(at)] = sums[indexOf(at)]! + data[at]! ** 2;
    return sums;
  };
  const inputOf = (at: number): number => Math.floor((at % cols) / area);
  const rowOf = (at: number): number => Math.floor(at / cols);
  const core = Float64Array.from(right.data);
  const channels = even(
    squares(inner, (at) => Math.floor(at / basis.cols), basis.data),
    squares(inner, inputOf, core),
  );
  const basisData = basis.data.map((value, at) => value * channels[Math.floor(at / basis.cols)]!);
  for (let at = 0; at < core.length; at++) core[at] = core[at]! / channels[inputOf(at)]!;
  const rows = even(
    squares(rank, rowOf, core),
    squares(rank, (at) => at % rank, left.data),
  );
  for (let at = 0; at < core.length; at++) core[at] = core[at]! * rows[rowOf(at)]!;
  const even32 = { rows: inner, cols: basis.cols, data: Float32Array.from(basisData) };
  const core32 = { rows: rank, cols, data: Float32Array.from(core) };
  return {
    left: { ...left, data: left.data.map((value, at) => value / rows[at % rank]!) },
    right: await joinInner({ basis: even32, core: core32 }, area, linalg, signal),
    inner: { basis: even32, core: core32 },
  };
}

/** core · (basis ⊗ I): rank × in·window. */
export async function joinInner(
  { basis, core }: NonNullable<FactorPair['inner']>,
  area: number,
  linalg: Linalg,
  signal?: AbortSignal,
): Promise<Matrix> {
  const cores = permute(core.data, [core.rows, basis.rows, area], [0, 2, 1]);
  const product = await linalg.gemm64({ rows: core.rows * area, cols: basis.rows, data: cores }, basis, { signal });
  const data = Float32Array.from(permute(product.data, [core.rows, area, basis.cols], [0, 2, 1]));
  return { rows: core.rows, cols: basis.cols * area, data };
}

/** What to multiply the first by, and divide the second by, so that both have the same norm. */
function even(first: Float64Array, second: Float64Array): Float64Array {
  return first.map((own, k) => (own > 0 && second[k]! > 0 ? Math.sqrt(Math.sqrt(second[k]! / own)) : 1));
}

/** in × (out, window) as out × (in, window). */
function byOutput({ out, area }: TuckerModes, { rows, data }: Matrix64): Matrix64 {
  return { rows: out, cols: rows * area, data: permute(data, [rows, out, area], [1, 0, 2]) };
}

/** Orthonormal rows: the leading left singular vectors. */
async function leading({ linalg, signal }: TuckerModes, matrix: Matrix64, count: number): Promise<Matrix64> {
  const gram = await linalg.gemm64(matrix, matrix, { transposeB: true, signal });
  return leadingVectors(linalg, gram, count, signal);
}

/** The input channels of rows × (in, window), projected: rows × (inner, window). */
async function alongInputs(
  linalg: Linalg,
  basis: Matrix64,
  area: number,
  rows: number,
  values: Float32Array | Float64Array,
): Promise<Matrix64> {
  const turned = permute(Float64Array.from(values), [rows, basis.cols, area], [1, 0, 2]);
  const { data } = await linalg.gemm64(basis, { rows: basis.cols, cols: rows * area, data: turned });
  return { rows, cols: basis.rows * area, data: permute(data, [basis.rows, rows, area], [1, 0, 2]) };
}

function identity(n: number): Matrix64 {
  return { rows: n, cols: n, data: Float64Array.from({ length: n * n }, (_, at) => (at % (n + 1) === 0 ? 1 : 0)) };
}

function scaleRows({ rows, cols, data }: Matrix64, factors: Float64Array): Matrix64 {
  return { rows, cols, data: data.map((value, at) => value * factors[Math.floor(at / cols)]!) };
}

function transposed({ rows, cols, data }: Matrix64): Float64Array {
  return permute(data, [rows, cols], [1, 0]);
}
