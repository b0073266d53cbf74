import { throwIfAborted } from '../errors.js';
import type { PathUse } from '../files/conflicts.js';
import type { Model } from '../graph/model.js';
import { modelReads, modelWrites } from '../graph/model-paths.js';
import type { Preparation } from '../contracts/images.js';
import type { Calibrate, CalibrateContext } from '../factorize/calibration/types.js';
import type { FittedSpectrum } from '../factorize/fit.js';
import type { Recalibrate } from '../training/recalibrate.js';
import type { Approximate } from './fit-whole.js';
import type { SearchRanks } from './rank-search.js';
import type { ConvertOptions } from './options.js';

export type ConvertPhase =
  'read' | 'plan' | 'search' | 'calibrate' | 'factorize' | 'approximate' | 'recalibrate' | 'write' | 'verify';

export interface Progress {
  readonly phase: ConvertPhase;
  readonly done: number;
  readonly total: number;
  readonly detail: string;
}

/**
 * Finds out how images become inputs of a model that is shown none; undefined where it takes none. Throws ABORTED.
 */
export type FindPreparation = (
  model: Model,
  context: Pick<CalibrateContext, 'path' | 'driver' | 'session' | 'signal'>,
) => Promise<Preparation | undefined>;

export interface ConvertCall extends ConvertOptions {
  /** Images that the layers are fitted on, or only measured on where the initialization needs none: `calibration` makes it. */
  readonly calibrate?: Calibrate | undefined;
  /** What is done to the factorized model before it is written: `recalibration` makes it from a folder of images. */
  readonly recalibrate?: Recalibrate | undefined;
  /** For what the written model says of its images, where layers are fitted to none: `foundPreparation` makes it. */
  readonly findPreparation?: FindPreparation | undefined;
  /** Fits the pairs all at once, for an `init` of whole models (`fai`). Default: `functionApproximation()`. */
  readonly approximate?: Approximate | undefined;
  /** Chooses the ranks for an `accuracyBudget`: `accuracySearch` makes it from labelled images. */
  readonly searchRanks?: SearchRanks | undefined;
  /** Default: the input's name with `.lowrank.onnx`. */
  readonly output?: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
  /** Lines for people on what long work has come to: every model that a search has measured. */
  readonly onNote?: (line: string) => void;
  /** Asks for the leading singular values of each factorized weight; costs a full spectrum per layer. */
  readonly onSpectrum?: (layer: string, spectrum: FittedSpectrum) => void;
}

/** Where the converted model goes. */
export function outputOf(input: string, { output }: ConvertCall): string {
  return output ?? `${input.replace(/\.onnx$/i, '')}.lowrank.onnx`;
}

/** The files that `convert` reads and writes. */
export function convertPaths(input: string, call: ConvertCall): readonly PathUse[] {
  const { calibrate, recalibrate, searchRanks } = call;
  return [
    ...modelReads(input),
    ...modelWrites(outputOf(input, call)),
    ...[calibrate, recalibrate, searchRanks].flatMap((images) => images?.paths ?? []),
  ];
}

/** Throws ABORTED. */
export function show(
  { signal, onProgress }: Pick<ConvertCall, 'signal' | 'onProgress'>,
  phase: ConvertPhase,
  done: number,
  total: number,
  detail: string,
): void {
  throwIfAborted(signal);
  onProgress?.({ phase, done, total, detail });
}
