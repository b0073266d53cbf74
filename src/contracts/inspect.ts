/** The published JSON contract of `lowrank-inspect`. A field is added, never renamed. */
import type { Scheme, LayerReport, SensitivityReport, ModelSummary } from './convert.js';

/** Of the matrix of the layer's scheme. */
export interface Spectrum {
  /** All singular values, largest first. */
  readonly singularValues: readonly number[];
  /** ‖W‖²_F / σ₁². */
  readonly stableRank: number;
  /** Smallest rank that holds 90 % of ‖W‖²_F. */
  readonly energy90Rank: number;
  readonly energy99Rank: number;
}

/** The reason of a layer that `inspect` finds in one piece, with nothing in the way of factorizing it. */
export const fullRank = 'full rank';

export interface InspectLayer extends LayerReport {
  readonly spectrum: Spectrum | null;
  /** How a pair was recognized; null for a full-rank layer. */
  readonly pair: { readonly recognizedBy: 'metadata' | 'structure'; readonly nodes: readonly string[] } | null;
  /**
   * The pair of at most half of the layer's multiply-accumulates that changes the outputs least, in place of this layer alone;
   * null where none has so few. Only of layers that sensitivity was asked of, the first of those that share a weight.
   */
  readonly halved?: {
    readonly scheme: Scheme;
    readonly rank: number;
    /** Share of E‖Wx‖² that is lost. */
    readonly loss: number;
    /** Expected, in `SensitivityReport.unit`. */
    readonly change: number;
  } | null;
}

export interface InspectReport {
  readonly schema: 'lowrank.inspect/1';
  readonly tool: { readonly name: 'lowrank'; readonly version: string };
  readonly model: ModelSummary;
  readonly layers: readonly InspectLayer[];
  readonly totals: { readonly params: number; readonly macs: number; readonly pairs: number };
  /** Where it was asked for. */
  readonly sensitivity?: SensitivityReport;
  readonly warnings: readonly string[];
}
