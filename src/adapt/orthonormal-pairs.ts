import { LowrankError, throwIfAborted } from '../errors.js';
import { emitFits } from '../factorize/emit-fits.js';
import type { Model } from '../graph/model.js';
import { createLinalg } from '../linalg/linalg.js';
import { transposed } from '../linalg/transpose.js';
import type { Linalg, Matrix } from '../linalg/types.js';
import { inferShapes } from '../ops/infer.js';
import { fillNormal, type RandomStream, randomStream } from '../random.js';
import { checkRanges, count, whole } from '../range.js';
import type { PairRecord } from '../rewrite/pairs.js';
import type { FactorPair } from '../rewrite/types.js';
import { loadDriver } from '../runtime/driver.js';
import { type ChosenLayer, chooseLayers, requireRank, type StartSettings } from './choose-layers.js';
import { orthonormalRows } from './orthonormal.js';

/** What is drawn in the place of layers. Names and defaults are those of `lowrank create --orthonormal`. */
export interface OrthonormalOptions extends Partial<Omit<StartSettings, 'freeze'>> {
  /** The k-th singular value is multiplied by decayᵏ, k from 0 on. Default 1. */
  readonly decay?: number;
  /** A whole number from 0 to 2⁵³ − 1. Default 0. */
  readonly seed?: number;
  readonly signal?: AbortSignal | undefined;
}

export const decayRange = { type: 'number', above: 0, maximum: 1 } as const;

/**
 * Draws a low-rank pair in the place of each layer of a model: U S Vᵀ with random orthonormal U and V, and S diagonal, |N(0, 1)| from
 * the largest on, times decayᵏ. That is the start of dynamical low-rank training (arXiv 2205.13571), not scaled to the layer: without
 * decay, E‖W‖²_F is the rank. Stored is U √S and √S Vᵀ, recorded as pairs of a conversion are. Numbers depend on the seed, the layer's
 * name, shape and rank alone. Throws USAGE for a rank that no layer has, a decay behind which a number is none of float32, globs that
 * match nothing; UNSUPPORTED where no layer is left.
 */
export async function drawOrthonormalPairs(model: Model, options: OrthonormalOptions = {}): Promise<PairRecord[]> {
  const { decay = 1, seed = 0, signal, startRank = null, scheme = 'channel' } = options;
  const { include = [], exclude = [], keepFirst = true, keepLast = true } = options;
  checkRanges({ decay: decayRange, seed: whole, startRank: count }, { decay, seed, startRank });
  const settings = { startRank, scheme, include, exclude, keepFirst, keepLast, freeze: [] };
  const { chosen } = chooseLayers(model, inferShapes(model), settings);
  requireRank(chosen, '--start-rank', startRank);
  const linalg = await createLinalg({ driver: await loadDriver() });
  try {
    const fits = [];
    for (const { candidate, ...layer } of chosen) {
      throwIfAborted(signal);
      const { name, label } = candidate.layer;
      const streamOf = (part: string): RandomStream => randomStream(seed, `orthonormal ${name} ${part}`);
      const values = singularValues(streamOf('values'), layer.rank, decay);
      requireFloats(values, label, decay);
      const pair = await drawPair(linalg, layer, values, streamOf);
      fits.push({ candidate, scheme: layer.scheme, rank: layer.rank, pair });
    }
    return emitFits(model, fits, 'orthonormal');
  } finally {
    await linalg.close();
  }
}

async function drawPair(
  linalg: Linalg,
  { rows, cols }: Pick<ChosenLayer, 'rows' | 'cols'>,
  values: Float64Array,
  streamOf: (part: string) => RandomStream,
): Promise<FactorPair> {
  const basis = async (part: string, length: number): Promise<Matrix> => {
    const drawn = { rows: values.length, cols: length, data: new Float32Array(values.length * length) };
    fillNormal(streamOf(part), drawn.data, 0);
    const { data, ...size } = await orthonormalRows(linalg, drawn);
    return {
      ...size,
      data: Float32Array.from(data, (value, at) => value * Math.sqrt(values[Math.floor(at / length)]!)),
    };
  };
  return { left: transposed(await basis('left', rows)), right: await basis('right', cols) };
}

/** |N(0, 1)|, the largest first, the k-th times decayᵏ. */
function singularValues(stream: RandomStream, rank: number, decay: number): Float64Array {
  const drawn = new Float32Array(rank);
  fillNormal(stream, drawn, 0);
  return Float64Array.from(drawn, Math.abs)
    .sort()
    .reverse()
    .map((value, k) => value * decay ** k);
}

/** The smallest scale of a factor whose elements are numbers of float32, and not next to zero. */
const leastScale = 1e-30;

function requireFloats(values: Float64Array, label: string, decay: number): void {
  const at = values.findIndex((value) => Math.sqrt(value) < leastScale);
  if (at < 0) return;
  throw new LowrankError('USAGE', `singular value ${at + 1} of '${label}' is too small for float32`, {
    place: `--decay ${decay}`,
    remedy: `give a --start-rank of at most ${at}, or a --decay nearer to 1`,
  });
}
