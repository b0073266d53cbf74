/** The published JSON contract of an evaluation (`--json`). A field is added, never renamed; a breaking change raises the schema number. */
import type { ModelSummary } from './convert.js';
import type { Preparation } from './images.js';
import type { DataSummary } from './train.js';

/** A 95 % confidence interval. */
export type Interval = readonly [low: number, high: number];

/** The images of one class. Accuracies are fractions of 1. */
export interface ClassResult {
  /** The model's output index. */
  readonly class: number;
  readonly name: string;
  /** Images with this label. */
  readonly n: number;
  /** Recall: the share of them whose largest output is this class; null where n is 0. */
  readonly top1: number | null;
  /** null too where there are at most five classes. */
  readonly top5: number | null;
  /** Images of any label that were given this class. */
  readonly predicted: number;
  /** The share of `predicted` that has this label; null where there are none. */
  readonly precision: number | null;
}

/** Images with the label `actual` whose largest output is `predicted`. */
export interface ConfusionCell {
  readonly actual: number;
  readonly predicted: number;
  readonly count: number;
}

/** What named normalizations give on the same pictures, where nothing says which one it is. */
export interface NormalizationTrial {
  /** Pictures that each was tried on. */
  readonly images: number;
  /** The one that was used. */
  readonly assumed: string;
  readonly results: readonly {
    readonly name: string;
    readonly top1: number;
    /** Of top-1 to the assumed one's. */
    readonly difference: number;
    /** Exact two-sided McNemar test of equal top-1. */
    readonly pValue: number;
  }[];
  /** One that is clearly better than the assumed one: the best of those whose test says so, at 5 % for all together; else null. */
  readonly better: string | null;
}

/** A second model on the same images, called the second; the evaluated model is the first. */
export interface PairedComparison {
  readonly model: ModelSummary;
  /** Of the second model. */
  readonly top1: number;
  /** Top-1 of the first minus that of the second. */
  readonly difference: number;
  /** Of `difference`, paired: Bonett and Price's adjusted Wald interval. */
  readonly ci95: Interval;
  /** Images that only one of the two models had right. */
  readonly discordant: { readonly onlyFirst: number; readonly onlySecond: number };
  /** Exact two-sided McNemar test of equal top-1. */
  readonly pValue: number;
  /** As of the report; absent in reports of earlier versions. */
  readonly preparation?: Preparation;
  readonly normalizationTrial?: NormalizationTrial;
}

export interface EvalReport {
  readonly schema: 'lowrank.eval/1';
  readonly tool: { readonly name: 'lowrank'; readonly version: string };
  /** The command line that repeats the run; absent where the library was called. */
  readonly command?: string;
  readonly model: ModelSummary;
  /** Every option with its value, defaults included. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly data: DataSummary;
  /** How images became inputs, and who says so; absent in reports of earlier versions. */
  readonly preparation?: Preparation;
  /** Absent where something says how images are normalized. */
  readonly normalizationTrial?: NormalizationTrial;
  /** Images that were evaluated: all others are in `badImages`. */
  readonly n: number;
  /** Fractions of n. */
  readonly top1: number;
  /** null where there are at most five classes. */
  readonly top5: number | null;
  /** Mean cross-entropy in nats. */
  readonly loss: number;
  /** Of `top1`: Wilson's score interval. */
  readonly ci95: Interval;
  readonly imagesPerSecond: number;
  /** Every class, in the order of the model's outputs. */
  readonly perClass: readonly ClassResult[];
  /** The cells that are not 0, by label, then by prediction. Their counts sum to n. */
  readonly confusion: readonly ConfusionCell[];
  readonly versus: PairedComparison | null;
  readonly badImages: { readonly count: number; readonly names: readonly string[] };
  readonly warnings: readonly string[];
  readonly seconds: { readonly prepare: number; readonly evaluate: number; readonly total: number };
}
