/** The published JSON contract of a learning-rate range test (`lowrank-train --lr-find --json`). A field is added, never renamed. */
import type { Preparation } from './images.js';

export interface LrFindPoint {
  readonly lr: number;
  /** Of the update made with this rate, before it. */
  readonly loss: number;
  /** Exponential mean of the losses so far, bias-corrected. */
  readonly smoothed: number;
}

export interface LrFindReport {
  readonly schema: 'lowrank.lr-find/1';
  readonly tool: { readonly name: 'lowrank'; readonly version: string };
  /** The command line that repeats the run; absent where the library was called. */
  readonly command?: string;
  readonly seed: number;
  readonly model: { readonly path: string; readonly sha256: string };
  /** Every option with its value, defaults included. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** How images become inputs in validation, and who says so; absent in reports of earlier versions. */
  readonly preparation?: Preparation;
  readonly points: readonly LrFindPoint[];
  /** Where the smoothed loss falls fastest over the logarithm of the rate; null where it never falls. */
  readonly steepest: number | null;
  /** Where the smoothed loss is smallest. */
  readonly smallest: number;
  /** A tenth of `smallest`: a rate to begin with that is not yet ragged. null where the loss does not fall. */
  readonly suggestion: number | null;
  /** Why nothing is suggested; null where something is. */
  readonly reason: string | null;
  /** Why the test ended before the largest rate; null where it did not. */
  readonly stopped: string | null;
  readonly seconds: number;
}
