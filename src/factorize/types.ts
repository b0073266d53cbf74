import type { Linalg, Matrix } from '../linalg/types.js';
import type { Activation, FactorPair } from '../rewrite/types.js';
import type { SampledContext } from './sampled/fit-pair.js';
import type { FitSettings } from './sampled/settings.js';
import type { LayerData } from './calibration/types.js';

export type InitName =
  | 'spectral'
  | 'spectral-scaled'
  | 'lfai'
  | 'lfai-adam'
  | 'lfai-ws-adam'
  | 'fai'
  | 'relu-svd'
  | 'baseline'
  | 'whitened'
  | 'lfai-data';

/**
 * A layer as the matrix of its scheme. Neuron (output channel) i owns the `rowsPerNeuron` consecutive rows from
 * i · rowsPerNeuron on: kh rows in the spatial scheme (row = out·kh + y, column = in·kw + x), one row in the channel
 * scheme (column = (in·kh + y)·kw + x) and in dense layers. A neuron computes σ(⟨its rows, x⟩) with x ~ N(0, I) of
 * rowsPerNeuron · cols entries: each row sees its own part of x.
 */
export interface InitProblem {
  readonly weight: Matrix;
  readonly rowsPerNeuron: number;
  readonly rank: number;
  readonly activation: Activation;
  readonly seed: number;
  readonly linalg: Linalg;
  readonly signal?: AbortSignal | undefined;
  /** For the inits that sample. */
  readonly sampled?: SampledContext | undefined;
  /** What calibration images tell of the layer, in the order of the matrix; undefined where there are none. */
  readonly data?: LayerData | undefined;
}

/** What an initialization gives. */
export interface FittedPair extends FactorPair {
  /** Belongs to the pair: a number for each neuron, added to what the pair computes. */
  readonly shift?: Float32Array | undefined;
  /** Relative loss of what was minimized, where schemes are to be compared by it. */
  readonly loss?: number | undefined;
}

/** An initialization: one file in inits/ and one line in its index. */
export interface Init {
  readonly name: InitName;
  /** One line for `--help`. */
  readonly summary: string;
  /** It runs the layer on samples: any activation that can be differentiated will do. */
  readonly isSampled?: true;
  /** Its pairs are where a fit of the whole model starts: see `Approximate`. */
  readonly isWhole?: true;
  /** What of the settings of sampled fits has other defaults. */
  readonly fitDefaults?: Partial<FitSettings>;
  /** `layer`: it needs `data`. `sequence`: also `data.sequential`, for which layers are fitted one after the other. */
  readonly needs?: 'layer' | 'sequence';
  fit(problem: InitProblem): Promise<FittedPair>;
}
