/** The published JSON contract of `lowrank-merge`. A field is added, never renamed. */
import type { Change, Scheme, WrittenModel, ModelSummary, Totals, Kept } from './convert.js';

/** A pair that became one layer again. `before` counts the pair, `after` the layer. */
export interface MergedPair {
  /** Name of the layer. */
  readonly name: string;
  /** As in LayerIdentity. */
  readonly label?: string;
  readonly op: string;
  readonly scheme: Scheme;
  readonly rank: number;
  readonly recognizedBy: 'metadata' | 'structure';
  readonly params: Change;
  readonly macs: Change;
}

export interface MergeReport {
  readonly schema: 'lowrank.merge/1';
  readonly tool: { readonly name: 'lowrank'; readonly version: string };
  /** The command line that repeats the run; absent where the library was called. */
  readonly command?: string;
  readonly model: ModelSummary;
  /** Every option with its value, defaults included. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly merged: readonly MergedPair[];
  /** Pairs that stay pairs. */
  readonly kept: readonly Kept[];
  readonly foldedBatchNormalizations: number;
  readonly keptBatchNormalizations: readonly Kept[];
  readonly totals: Totals;
  /** null with --no-verify. As in ConvertReport; `tolerance` is the largest `relativeDiff` that passes. */
  readonly verify: {
    readonly reloaded: true;
    readonly maxAbsDiff: number;
    readonly relativeDiff: number;
    readonly samples: number;
    readonly tolerance: number;
  } | null;
  readonly output: WrittenModel;
  readonly warnings: readonly string[];
  readonly seconds: {
    readonly read: number;
    readonly merge: number;
    readonly write: number;
    readonly verify: number;
    readonly total: number;
  };
}
