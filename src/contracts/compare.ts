/** The published JSON contract of a comparison of initializations (`--json`). A field is added, never renamed; a breaking change raises the schema number. */
import type { Calibration, Preparation } from './images.js';
import type { EngineReport, Kept, PlannedLayer, ModelSummary, Ratio } from './convert.js';
import type { Interval, PairedComparison } from './eval.js';
import type { Closeness, RecoverReport } from './recover.js';
import type { DataSummary } from './train.js';

/** What one initialization made of one layer. */
export interface ComparedFit {
  /** ‖Ŵ−W‖_F / ‖W‖_F; null where W is zero and Ŵ is not. */
  readonly weightError: number | null;
  /** sqrt(E‖σ(Ŵx)−σ(Wx)‖² / E‖σ(Wx)‖²), x ~ N(0, I); null where nothing is there to compare with. */
  readonly functionError: number | null;
  /**
   * sqrt(E‖Ŵx + shift − Wx‖² / E‖Wx‖²) for what the layer sees in the original model on the calibration images. Absent without
   * them, and where a patch has too many numbers for second moments.
   */
  readonly dataError?: number | null;
  /**
   * sqrt(E‖σ(P̂)−σ(P)‖² / E‖σ(P)‖²): P is the argument of the activation, with BatchNormalization and what is added, at samples of
   * the original model's layers on the calibration images; P̂ with the pair in place of the layer. Absent without images.
   */
  readonly dataFunctionError?: number | null;
  /** Seconds of fitting, beside other layers. */
  readonly seconds: number;
}

/** Theorem 3.5 of arXiv 2202.00834 on one layer. d is the layer's input dimension: in · kh · kw. */
export interface ComparedTheorem {
  readonly dimension: number;
  /** (1/2d) Σ cᵢ²(κ(ρᵢ) − ρᵢ)²: the least that truncated SVD can lose more than the optimum; null where it does not apply. */
  readonly bound: number | null;
  /** Why there is no bound; null where there is one. */
  readonly reason: string | null;
  /** (1/d) (R(spectral) − R(lfai)), as measured; null where one of the two was not fitted. */
  readonly gap: number | null;
  /** (1/d) E‖σ(Wx)‖²: what bound and gap are parts of; null where spectral was not fitted. */
  readonly scale: number | null;
}

/** One convolution or dense layer. */
export interface ComparedLayer extends PlannedLayer {
  /** By the name of the initialization; those that failed are missing. Empty where kept. */
  readonly fits: Readonly<Record<string, ComparedFit>>;
  /** null where kept. */
  readonly theorem: ComparedTheorem | null;
}

/** Accuracy of the model right after the conversion with one initialization. Fractions of 1. */
export interface ComparedAccuracy {
  readonly top1: number;
  /** Of `top1`: Wilson's score interval, 95 %. */
  readonly ci95: Interval;
  /** null where there are at most five classes. */
  readonly top5: number | null;
  /** Mean cross-entropy in nats. */
  readonly loss: number;
}

/** A paired difference of top-1 on the same images. */
export type ComparedDifference = Pick<PairedComparison, 'difference' | 'ci95' | 'discordant' | 'pValue'>;

/** A converted model that was trained towards the original, on pictures without labels. */
export interface ComparedRecovery extends Pick<RecoverReport, 'start' | 'retreats'> {
  /** Of the weights that were closest, and the updates before them; 0: those of the conversion. */
  readonly written: Closeness & { readonly step: number };
  readonly lr: number;
  readonly seconds: number;
  /** On the images of --val; absent without them. */
  readonly accuracy?: ComparedAccuracy;
  /** Its top-1 minus that of the first that was recovered; null for that one, absent without --val. */
  readonly versusFirst?: ComparedDifference | null;
}

export interface ComparedInit {
  readonly name: string;
  /** One line about it. */
  readonly summary: string;
  /** What went wrong; null where it was fitted. The numbers below are null then. */
  readonly failure: string | null;
  /** Means over the compared layers that have one. */
  readonly weightError: number | null;
  readonly functionError: number | null;
  /** Absent without calibration images. */
  readonly dataError?: number | null;
  readonly dataFunctionError?: number | null;
  /** Layers on which no other compared initialization has a smaller function error (by more than a millionth). */
  readonly lowestIn: number;
  /** Seconds of fitting all layers; with what it takes to look at calibration images where the initialization needs them. */
  readonly seconds: number;
  /** null without --val. */
  readonly accuracy: ComparedAccuracy | null;
  /** Its top-1 minus that of the first initialization, on the same images; null for the first one and without --val. */
  readonly versusFirst: ComparedDifference | null;
  /** null where it could not be fitted or recovered; absent without --recover. */
  readonly recovery?: ComparedRecovery | null;
}

export interface CompareReport {
  readonly schema: 'lowrank.compare/1';
  readonly tool: { readonly name: 'lowrank'; readonly version: string };
  /** The command line that repeats the run; absent where the library was called. */
  readonly command?: string;
  readonly seed: number;
  readonly model: ModelSummary;
  /** Every option with its value, defaults included. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** What multiplied. */
  readonly engine: EngineReport;
  /** In the order in which they were asked for. */
  readonly inits: readonly ComparedInit[];
  /** Initializations that were left out, and why. */
  readonly leftOut: readonly Kept[];
  readonly layers: readonly ComparedLayer[];
  /** Of the converted model, whatever the initialization. */
  readonly totals: { readonly params: Ratio; readonly macs: Ratio };
  /** The images of --calibrate; absent without it. */
  readonly calibration?: Calibration;
  /** The labelled images and the original on them; null without --val. */
  readonly validation: {
    readonly data: DataSummary;
    /** Images that were evaluated. */
    readonly n: number;
    readonly original: ComparedAccuracy;
    readonly badImages: { readonly count: number; readonly names: readonly string[] };
    /** How they became inputs, and who says so; absent in reports of earlier versions. */
    readonly preparation?: Preparation;
  } | null;
  /** What all initializations were recovered on, with the settings in force; absent without --recover. */
  readonly recovery?: Pick<RecoverReport, 'data' | 'settings' | 'matching' | 'preparation'>;
  readonly warnings: readonly string[];
  readonly seconds: {
    readonly prepare: number;
    readonly fit: number;
    readonly evaluate: number;
    /** Absent without --recover. */
    readonly recover?: number;
    readonly total: number;
  };
}
