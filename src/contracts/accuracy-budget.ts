/** How the ranks for an accuracy budget were found: a part of the published JSON of `lowrank-convert`. A field is added, never renamed. */
import type { Preparation } from './images.js';
import type { Scheme } from './convert.js';

/** A conversion that was tried for an accuracy budget, measured against the original on the same images. */
export interface AccuracyTrial {
  /**
   * `sensitivity`: some layers alone, on a sample of the images, for the price of their errors; `search`: a candidate for the
   * result, on all images.
   */
  readonly purpose: 'sensitivity' | 'search';
  /** The setting: what `--ranks` would take; layers that are not named are kept. */
  readonly ranks: Readonly<Record<string, { readonly rank: number; readonly scheme: Scheme }>>;
  readonly params: number;
  readonly macs: number;
  /** Images it was measured on. */
  readonly images: number;
  readonly top1: number;
  /** Top-1 of the original minus its own, and the 95 % interval of this paired difference; fractions of 1, as in EvalReport. */
  readonly drop: number;
  readonly ci95: readonly [low: number, high: number];
  /** What the mean cross-entropy rises by, in nats. */
  readonly lossIncrease: number;
  readonly isWithinBudget: boolean;
  /** Whether the evaluation was found in the cache. */
  readonly isCached: boolean;
  /** What its pairs were fitted by; absent in reports of earlier versions. */
  readonly init?: string;
  /** SHA-256 of the model. */
  readonly sha256: string;
  readonly seconds: number;
}

/** How the ranks for an accuracy budget were found. */
export interface AccuracyBudget {
  /** Of top-1, that may be lost. */
  readonly points: number;
  readonly minimize: 'macs' | 'params';
  /** Where the images are. */
  readonly data: string;
  readonly images: number;
  /** How the images became inputs: what `lowrank-eval` takes. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** The same, and who says so; absent in reports of earlier versions. */
  readonly preparation?: Preparation;
  /** Folder of the evaluations, by content. */
  readonly cache: string;
  readonly original: { readonly top1: number; readonly loss: number; readonly isCached: boolean };
  /** Groups of layers, what converting them alone to about half of their cost did to the loss, and the price of their errors. */
  readonly sensitivities: readonly {
    readonly layers: readonly string[];
    readonly lossIncrease: number;
    readonly weight: number;
  }[];
  /** Every one that was made, in order. */
  readonly trials: readonly AccuracyTrial[];
  /** Index into `trials` of the one that was written. */
  readonly chosen: number;
  /** False where the interval of the chosen one's drop is too wide to tell whether it is within the budget. */
  readonly isResolved: boolean;
  /** Whether it was ended before its end: more would have been tried. Absent in reports of earlier versions. */
  readonly isInterrupted?: boolean;
  readonly seconds: number;
}
