import { join } from 'node:path';
import { foundModel, withoutLayers } from '../adapt/found-model.js';
import { adaptedLayers, type AdaptedLayer } from '../adapt/layers.js';
import { factorsOf } from '../adapt/state.js';
import { wholeLayers } from '../adapt/whole-layers.js';
import type { WriteBackReport } from '../contracts/write-back.js';
import { LowrankError } from '../errors.js';
import { readSafetensors } from '../files/safetensors.js';
import { readModel } from '../graph/read.js';
import { modelBytes } from '../graph/write.js';
import { createLinalg } from '../linalg/linalg.js';
import { inferShapes } from '../ops/infer.js';
import { loadDriver } from '../runtime/driver.js';
import { adaptiveFiles, artifactFiles } from '../step/manifest.js';
import type { Gathered } from './trained-tensors.js';

export interface TrainedVectors {
  readonly parameters: Gathered;
  readonly statistics: Gathered;
}

/** A model of the ranks that a training ended with, and the tensors that are put into it yet. */
export interface FoundPairs extends TrainedVectors {
  readonly source: Uint8Array;
  readonly ranks: NonNullable<WriteBackReport['ranks']>;
  /** Whether no number differs from those that the folder says to begin with. */
  readonly isUntrained: boolean;
}

/**
 * The pairs of trained layers in a folder of artifacts. Throws NUMERIC where a layer has no rank, and what reading the model with pairs
 * throws.
 */
export async function foundPairs(
  folder: string,
  imageShape: readonly number[],
  { parameters, statistics }: TrainedVectors,
  place: string,
): Promise<FoundPairs> {
  const { source, layers, inputShapes } = readPairs(join(folder, adaptiveFiles.pairs), imageShape);
  const none = new Float32Array(0);
  const trained = {
    state: { parameters: parameters.flat, statistics: statistics.flat, state: none, ema: none },
    layout: { parameters: parameters.slots, statistics: statistics.slots, optimizer: 'none' },
  };
  const ranks = factorsOf(trained, layers).map(({ core }, at) => {
    const { name, label, wholeFrom } = layers[at]!;
    const rank = core.cols;
    if (Math.min(core.rows, rank) > 0) return rank < wholeFrom ? { name, rank } : { name, rank, inOnePiece: true };
    throw new LowrankError('NUMERIC', `the bases of layer '${label}' are all zeros`, {
      place,
      remedy: 'save those that it was trained with',
    });
  });
  const others = withoutLayers(
    {
      ...{ parameters: parameters.flat, parameterSlots: parameters.slots },
      ...{ statistics: statistics.flat, statisticSlots: statistics.slots },
    },
    layers,
  );
  const initial = readSafetensors(join(folder, artifactFiles.initial)).tensors;
  const isSame = (name: 'parameters' | 'statistics', flat: Float32Array): boolean => {
    const data = initial.get(name)?.data;
    return data?.length === flat.length && flat.every((value, at) => value === data[at]);
  };
  const pairs = foundModel({ source, layers }, trained, false);
  return {
    source: ranks.some(({ inOnePiece }) => inOnePiece === true)
      ? await withoutSavings(pairs, layers, inputShapes)
      : pairs,
    parameters: { flat: parameters.flat, slots: others.parameterSlots },
    statistics: { flat: statistics.flat, slots: others.statisticSlots },
    ranks,
    isUntrained: isSame('parameters', parameters.flat) && isSame('statistics', statistics.flat),
  };
}

/** With the layers whose pairs save nothing in one piece, as `lowrank train` writes them. */
async function withoutSavings(
  pairs: Uint8Array,
  layers: readonly AdaptedLayer[],
  inputShapes: Pairs['inputShapes'],
): Promise<Uint8Array> {
  const linalg = await createLinalg({ driver: await loadDriver() });
  try {
    return await wholeLayers(pairs, { layers, inputShapes, linalg });
  } finally {
    await linalg.close();
  }
}

interface Pairs {
  readonly source: Uint8Array;
  readonly layers: readonly AdaptedLayer[];
  readonly inputShapes: Readonly<Record<string, readonly number[]>>;
}

function readPairs(path: string, imageShape: readonly number[]): Pairs {
  const model = readModel(path);
  try {
    const images = model.graph.inputs.find(({ tensor }) => tensor === undefined);
    const inputShapes = images === undefined ? {} : { [images.name]: [1, ...imageShape] };
    const layers = adaptedLayers(model, inferShapes(model, { inputShapes }));
    return { source: modelBytes(model), layers, inputShapes };
  } finally {
    model.file?.close();
  }
}
