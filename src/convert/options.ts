import type { LimitOptions } from '../limits.js';
import type { ConvolutionScheme } from '../contracts/convert.js';
import type { Device } from '../runtime/types.js';
import type { Balance } from '../factorize/balance.js';
import type { EngineName } from '../factorize/engine.js';
import type { FitOptions } from '../factorize/sampled/options.js';
import type { LayerRank } from '../factorize/settings.js';
import type { InitName } from '../factorize/types.js';

/** Options of `convert`. Names and defaults are those of the command line. */
export interface ConvertOptions extends FitOptions, LimitOptions {
  /** rank = max(1, round(rankScale · min(rows, cols))). In (0, 1]. The default without images, at 0.25; with them it is `macsBudget` 0.5. */
  readonly rankScale?: number;
  /** `out`: round(rankScale · out · kh), as in Khodak et al.; clamped to min(rows, cols). Default `min`. */
  readonly rankBase?: 'min' | 'out';
  /** Rank of each layer by name; "keep" or a layer that is not named stays as it is. */
  readonly ranks?: Readonly<Record<string, LayerRank>>;
  /** Smallest rank that holds this fraction of ‖W‖²_F. In (0, 1]. */
  readonly energy?: number;
  /** What empirical variational Bayesian matrix factorization takes for signal (Nakajima et al., JMLR 14, 2013). */
  readonly vbmf?: boolean;
  /** So many times the stable rank ‖W‖²_F / ‖W‖²₂ of the layer. Above 0. */
  readonly stableRank?: number;
  /** At least this fraction of min(rows, cols) where `vbmf` (default 0.1) or `stableRank` (default 0) give less. In [0, 1]. */
  readonly rankFloor?: number;
  /** Fractions of the original model's parameters, MACs or measured milliseconds. In (0, 1). */
  readonly paramsBudget?: number;
  readonly macsBudget?: number;
  readonly latencyBudget?: number;
  /** The smallest model that agrees with the original on this share of the images kept out of the fit; needs `ConvertCall.calibrate`. In (0, 1]. */
  readonly keep?: number;
  /** Points of top-1 that may be lost right after the conversion; needs `ConvertCall.searchRanks`. In [0, 100]. */
  readonly accuracyBudget?: number;
  /** Ranks are rounded to multiples of this; default 1. */
  readonly rankMultiple?: number;
  /** Default `auto`: per layer, the scheme with the smallest error at equal MACs. */
  readonly scheme?: 'auto' | ConvolutionScheme;
  /** Default: `lfai-data` with images to calibrate on, `whitened` with synthetic ones, `lfai` without. */
  readonly init?: InitName;
  /** Only layers that match one of these globs. */
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
  /** Also factorize the factors of pairs that others made; default false. */
  readonly factorizePairs?: boolean;
  /** Keep the first layer and the last one; both default to true. */
  readonly keepFirst?: boolean;
  readonly keepLast?: boolean;
  /** Fits on calibration images put right by a bias what a pair changes in the mean; default true. */
  readonly biasCorrection?: boolean;
  /** What the free scale between two factors makes even: their norms (`weight`, the default), or what lies between them, for int8. */
  readonly balance?: Balance;
  readonly seed?: number;
  /** Draw fresh truncated-normal weights first: low-rank training from scratch. */
  readonly reinit?: boolean;
  /** Where models run. */
  readonly device?: Device;
  /** What multiplies while pairs are fitted: `ort` is onnxruntime, `tfjs` TensorFlow.js. Default `ort`. */
  readonly engine?: EngineName;
  /** Threads of onnxruntime; default: the machine's cores. */
  readonly threads?: number;
  /** Least rank that a budget gives a layer; default: 1 with calibration images, a thirty-second of the full rank without. */
  readonly minRank?: number | null;
  /** Factorize even where it saves nothing. */
  readonly allowBigger?: boolean;
  /** Run the written model against the original; default true. */
  readonly verify?: boolean;
  /** Measure the latency of both models even without a latency budget. */
  readonly measureLatency?: boolean;
  /** Refuse to write a model that one file cannot hold. */
  readonly singleFile?: boolean;
  /** Put large tensors into a file of their own, `<output>.data`; default: one file, as far as it holds them (2 GiB). */
  readonly externalData?: boolean;
  /** Write a model that takes any number of images where it was exported for a fixed one. */
  readonly openBatch?: boolean;
  /** Replace an existing output. */
  readonly force?: boolean;
  /** Values of inputs that are no images, "name=value" each, while layers are fitted: see `fixInputs`. What is written still takes them. */
  readonly inputs?: readonly string[];
  /** Shapes of inputs with dynamic axes, by input name. */
  readonly inputShapes?: Readonly<Record<string, readonly number[]>>;
}
