import type { WithPaths } from '../../files/conflicts.js';
import type { Model } from '../../graph/model.js';
import type { Matrix, Matrix64 } from '../../linalg/types.js';
import type { Calibration } from '../../contracts/images.js';
import type { Driver, RuntimeTensor, SessionOptions } from '../../runtime/types.js';
import type { Activation } from '../../rewrite/types.js';

/**
 * Moments of what the neurons of a layer see: patches of its input in the order of the layer's matrix (InitProblem), so
 * that neuron i computes ⟨its rows, x⟩.
 */
export interface Moments {
  /** Patches that were looked at. */
  readonly count: number;
  /** E[x] */
  readonly mean: Float64Array;
  /** E[xxᵀ] */
  readonly second: Matrix64;
}

/** Patches of the half-converted model with what they lead to, one row each: for fitting through the activation. */
export interface LayerSamples {
  /** x̂: what the layer sees there. */
  readonly inputs: Matrix;
  /** σ's argument in the half-converted model, where this layer is still as it was: a·(Wx̂) and what is added to it. */
  readonly current: Matrix;
  /** σ's argument in the original model. */
  readonly target: Matrix;
  /** a of each neuron: what stands between the layer and σ's argument (BatchNormalization). */
  readonly scale: Float64Array;
  /** σ */
  readonly activation: Activation;
}

/** What calibration images tell of one layer. */
export interface LayerData {
  /** In the original model. */
  readonly moments: Moments;
  /** Whether what the pair changes in the mean may be put right by a bias. */
  readonly hasBias: boolean;
  /** In the half-converted model; only for fits in sequence. */
  readonly sequential?: { readonly moments: Moments; readonly samples: LayerSamples };
}

/** Images of one run. */
export interface CalibrationBatch {
  readonly feeds: Readonly<Record<string, RuntimeTensor>>;
  readonly size: number;
}

/** Calibration images as a model takes them; the same batches every time. */
export interface CalibrationImages {
  /** The one input, and its shape for a full batch. */
  readonly input: string;
  readonly dims: readonly number[];
  readonly images: number;
  batches(): AsyncIterable<CalibrationBatch>;
  /** For the report; what was skipped so far is in it. */
  summary(): Omit<Calibration, 'layers' | 'seconds'>;
  readonly warnings: readonly string[];
  close(): Promise<void>;
}

export interface CalibrateContext {
  /** Of the file that is converted, for messages. */
  readonly path: string;
  /** What runs the model where it has to be run to find out how it was trained to see images. */
  readonly driver: Driver;
  readonly session: SessionOptions;
  /** The images to fit on, or those that are kept out of the fit, to measure on; default: all that are drawn, to fit on. */
  readonly part?: 'fit' | 'kept-out';
  readonly signal: AbortSignal | undefined;
}

/**
 * Opens the images for a model. Its batch is open where it could be opened; `largestBatch` is 1 where not. Throws INPUT,
 * USAGE, UNSUPPORTED (no images); INPUT with `part` where no image is kept out.
 */
export type Calibrate = ((
  model: Model,
  largestBatch: number,
  context: CalibrateContext,
) => Promise<CalibrationImages>) &
  WithPaths & {
    /** Images that somebody has, or pictures that are drawn by a program. */
    readonly kind: 'images' | 'synthetic';
    /** Nobody asked for it: where it cannot be done, it is left out. Default false. */
    readonly isOptional?: boolean;
    /** Why the model cannot take such images; undefined where it can. */
    obstacle(model: Model): string | undefined;
  };
