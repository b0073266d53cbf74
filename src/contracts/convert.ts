import type { ModelSummary } from './model.js';
import type { RecoverReport } from './recover.js';
import type { Preparation, Calibration } from './images.js';
import type { AccuracyBudget } from './accuracy-budget.js';

/** The published JSON contracts (`--json`). A field is added, never renamed; a breaking change raises the schema number. */

export type { ModelSummary };

/** `before` counts the original, `after` the written file, reloaded. */
export interface Change {
  readonly before: number;
  readonly after: number;
}

/** `ratio` is after / before. */
export interface Ratio extends Change {
  readonly ratio: number;
}

/** In the order in which they are shown; src/rewrite/schemes/ has a line for each. */
export const allSchemes = ['spatial', 'channel', 'tucker', 'dense'] as const;
export type Scheme = (typeof allSchemes)[number];
/** Those of convolutions, which can be chosen. */
export const convolutionSchemes = allSchemes.filter((scheme) => scheme !== 'dense');
export type ConvolutionScheme = (typeof convolutionSchemes)[number];

/** Why convolutions of one channel a group are kept, in `reason`. */
export const depthwiseReason = 'depthwise convolution';

/** Which layer it is. */
export interface LayerIdentity {
  /** The node's name, or its first output's where it has none. */
  readonly name: string;
  /**
   * What people are shown: the name of the weight without ".weight" where the node's was only counted up by an exporter, else
   * `name`. Absent in reports of earlier versions.
   */
  readonly label?: string;
  readonly op: string;
  /** [kh, kw]; [1, 1] for dense layers; one number or three where a convolution has so many axes. */
  readonly kernel: readonly number[];
  readonly group: number;
  readonly in: number;
  readonly out: number;
  /** The activation that follows, such as "Relu", "SiLU"; "linear" where there is none. */
  readonly activation: string;
}

/** The name of a layer or pair for people. */
export function shownName({ name, label }: Pick<LayerIdentity, 'name' | 'label'>): string {
  return label ?? name;
}

/** What was decided for a layer. */
export interface PlannedLayer extends LayerIdentity {
  readonly action: 'factorized' | 'kept';
  /** Why it was kept, or how its rank was chosen. */
  readonly reason: string;
  /** null where kept, as the rank. */
  readonly scheme: Scheme | null;
  readonly rank: number | null;
  /** Channels between the factors in the order in which they are applied, where these are more than two: of `tucker` [in, out], out the rank. */
  readonly ranks?: readonly number[];
  /** min(rows, columns) of the matrix of the scheme. */
  readonly maxRank: number;
  /** Largest rank at which the pair has fewer parameters and fewer MACs than the layer; 0 where there is none. */
  readonly breakEvenRank: number;
  readonly params: Change;
  readonly macs: Change;
}

/** One convolution or dense layer. */
export interface LayerReport extends PlannedLayer {
  readonly init: string | null;
  /** ‖Ŵ−W‖_F / ‖W‖_F; null where kept. */
  readonly weightError: number | null;
  /** sqrt(E‖σ(Ŵx)−σ(Wx)‖² / E‖σ(Wx)‖²), x ~ N(0, I); null where kept. */
  readonly functionError: number | null;
  /**
   * sqrt(E‖Ŵx + shift − Wx‖² / E‖Wx‖²) for what the layer sees in the original model on the calibration images. Absent
   * without them, where kept, and where a patch has too many numbers for second moments.
   */
  readonly dataError?: number;
  /** What the outputs feel of the layer. Absent without calibration images, and where they were not looked at. */
  readonly sensitivity?: LayerSensitivity;
  /** Seconds of fitting; 0 where kept. */
  readonly seconds: number;
}

/** How much the outputs change where one layer alone is cut. */
export interface LayerSensitivity {
  /** Expected change of the outputs at the rank that was chosen; 0 where the layer is kept. See `SensitivityReport.unit`. */
  readonly change: number;
  /** Some of the ranks that were to choose from, lowest first, of every scheme. */
  readonly curve: readonly {
    readonly scheme: Scheme;
    readonly rank: number;
    readonly params: number;
    readonly macs: number;
    /** Share of E‖Wx‖² that is lost. */
    readonly loss: number;
    readonly change: number;
  }[];
}

/** What changes of outputs are counted in: the divergence KL(original ‖ converted) of classes, or half the squared relative error. */
export type ChangeUnit = 'kl' | 'squared-error';

/** How ranks were chosen by what the outputs feel. */
export interface SensitivityReport {
  /** `gradients`: to second order, from one pass back; `losses`: the layers' own errors alone, where the graph has no gradient. */
  readonly by: 'gradients' | 'losses';
  /** Why not by gradients. */
  readonly reason?: string;
  readonly unit: ChangeUnit;
  /** Images that gradients were taken of. */
  readonly images: number;
  readonly seconds: number;
  /** Ways to share out the budget that were measured whole; absent where little changes by the first, and with the others' ways. */
  readonly rules?: readonly MeasuredRule[];
}

/**
 * What layers' ranks were weighed by: `outputs`, the change of the outputs to second order; `losses`, the share of E‖Wx‖² that
 * the layer loses; `weights`, the lost share of ‖W‖²_F; `both`, the geometric mean of the first two; `all`, that of all three;
 * `wide`, as `outputs`, with no layer left a rank of 1.
 */
export type RankRule = 'outputs' | 'losses' | 'weights' | 'both' | 'all' | 'wide';

/** A model with ranks by one rule, measured on images kept out of the fit. */
export interface MeasuredRule {
  readonly rule: RankRule;
  /** The sum over layers of what each alone changes. */
  readonly predicted: number;
  /** In `SensitivityReport.unit`. */
  readonly change: number;
  readonly agreement: number | null;
  readonly images: number;
  readonly isChosen: boolean;
}

/** Size against change of the outputs: the best that is expected of each budget. */
export interface TradeOff {
  /** What the budgets are of. */
  readonly of: 'macs' | 'params' | 'latency';
  readonly unit: ChangeUnit;
  /** Smallest budget first. */
  readonly points: readonly TradeOffPoint[];
}

export interface TradeOffPoint {
  /** Fraction of the original's. */
  readonly budget: number;
  /** Fractions of the original's parameters and multiply-accumulates that are left. */
  readonly params: number;
  readonly macs: number;
  /** The sum over layers of what each alone changes. */
  readonly predicted: number;
  /** What was measured: the whole model with these ranks, on images kept out; null where it was not. */
  readonly measured: { readonly change: number; readonly agreement: number | null; readonly images: number } | null;
  /** `predicted`, put right by what was measured around it. */
  readonly expected: number;
  readonly isChosen: boolean;
}

/** The converted model against the original on images that it was not fitted on. */
export interface Agreement {
  /** Where the images are; `synthetic` where a program drew them. */
  readonly data: string;
  readonly images: number;
  /** Images with the same first class; null where the outputs are no classes. */
  readonly top1: { readonly share: number; readonly ci95: readonly [number, number] } | null;
  /** Mean of KL(original ‖ converted) in nats, with its 95 % interval; null where the outputs are no classes. */
  readonly kl: { readonly mean: number; readonly ci95: readonly [number, number] } | null;
  /** Of every output: sqrt(E‖ŷ − y‖² / E‖y‖²). */
  readonly outputs: readonly { readonly name: string; readonly relativeError: number }[];
  /** What to do, where it is poor. */
  readonly advice: string | null;
}

/** A model that was written. */
export interface WrittenModel {
  readonly path: string;
  /** Of all its files. */
  readonly bytes: number;
  /** Of the file at `path`. */
  readonly sha256: string;
  /** The file that holds its tensors, where that is another one. */
  readonly data?: { readonly path: string; readonly bytes: number; readonly sha256: string };
}

export interface Totals {
  readonly params: Ratio;
  readonly macs: Ratio;
  readonly latencyMs: Ratio | null;
}

/** What multiplied while pairs were fitted. */
export interface EngineReport {
  readonly name: 'ort' | 'tfjs';
  /** The npm package that brought it; `onnxruntime` where LOWRANK_ORT_LIB names another library. */
  readonly package: string;
  readonly version: string;
  /** The library's own name of what computed: `cpu`, `cuda`, `wasm`, `tensorflow`. */
  readonly backend: string;
  readonly device: 'cpu' | 'gpu';
}

/** Running statistics that were estimated anew on images, after the factorization. */
export interface Recalibration {
  /** Where the images are. */
  readonly data: string;
  /** Images that were used. */
  readonly images: number;
  readonly batchSize: number;
  /** Side of the images. */
  readonly imageSize: number;
  readonly normalization: { readonly mean: readonly number[]; readonly deviation: readonly number[] };
  /** How the images became inputs, and who says so; absent where nothing was estimated, and where pictures of the fit were used. */
  readonly preparation?: Preparation;
  /** BatchNormalizations with new statistics. */
  readonly layers: number;
  /** Those of them that are folded into convolutions, whose weights and biases are new instead; absent: none. */
  readonly folded?: number;
  /** Those that keep theirs. */
  readonly kept: readonly Kept[];
  readonly badImages: number;
  readonly seconds: number;
}

export interface ConvertReport {
  readonly schema: 'lowrank.convert/1';
  readonly tool: { readonly name: 'lowrank'; readonly version: string };
  /** The command line that repeats the run; absent where the library was called. */
  readonly command?: string;
  readonly seed: number;
  readonly model: ModelSummary;
  /** Every option with its value, defaults included. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly engine: EngineReport;
  readonly layers: readonly LayerReport[];
  readonly totals: Totals;
  /** null with --no-verify. `maxAbsDiff` over all outputs; `relativeDiff` = maxAbsDiff / largest magnitude of the original's output. */
  readonly verify: {
    readonly reloaded: true;
    readonly maxAbsDiff: number;
    readonly relativeDiff: number;
    readonly samples: number;
  } | null;
  /** How images become inputs, and who says so; absent where the model takes none, and in reports of earlier versions. */
  readonly preparation?: Preparation;
  /** Absent where it was not asked for. */
  readonly recalibration?: Recalibration;
  /** The training towards the original that followed; `agreement` was measured before it. Absent where it was not asked for. */
  readonly recovery?: RecoverReport;
  /** Absent without calibration images. */
  readonly calibration?: Calibration;
  /** Absent where ranks were not chosen by it. */
  readonly sensitivity?: SensitivityReport;
  /** Absent where ranks were not chosen by sensitivity. */
  readonly tradeOff?: TradeOff;
  /** Absent without images that were kept out of the fit. */
  readonly agreement?: Agreement;
  /** Absent where it was not asked for. */
  readonly accuracyBudget?: AccuracyBudget;
  readonly output: WrittenModel;
  readonly warnings: readonly string[];
  readonly seconds: {
    readonly read: number;
    readonly factorize: number;
    readonly write: number;
    readonly verify: number;
    readonly total: number;
  };
}

/** What `convert --curve` prints: budgets and what each is expected to change. Nothing was written. */
export interface CurveReport {
  readonly schema: 'lowrank.curve/1';
  readonly tool: { readonly name: 'lowrank'; readonly version: string };
  /** The command line that repeats the run; absent where the library was called. */
  readonly command?: string;
  readonly model: ModelSummary;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly sensitivity: SensitivityReport;
  readonly tradeOff: TradeOff;
  readonly warnings: readonly string[];
  readonly seconds: number;
}

/** Something that stayed as it was. */
export interface Kept {
  readonly name: string;
  /** As in LayerIdentity, of pairs. */
  readonly label?: string;
  readonly reason: string;
}
