/** The published JSON contracts of `lowrank-create`. A field is added, never renamed. */

import type { Scheme } from './convert.js';

/** `lowrank create --json`. */
export interface CreateReport {
  readonly schema: 'lowrank.create/1';
  readonly tool: { readonly name: 'lowrank'; readonly version: string };
  readonly arch: string;
  /** Numbers that training changes: BatchNormalization's running statistics are not counted. */
  readonly params: number;
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
  /** The external data file of a model of more than 2 GiB. */
  readonly data: { readonly path: string; readonly bytes: number; readonly sha256: string } | null;
  readonly seed: number;
  readonly numClasses: number;
  readonly imageSize: number;
  readonly inChannels: number;
  /** Units of the hidden layers, first to last; absent where the architecture fixes them. */
  readonly hidden?: readonly number[];
  /** Layers that were drawn as low-rank pairs with orthonormal bases; absent where none were asked for. */
  readonly orthonormal?: {
    /** What the k-th singular value was multiplied by, to the power of k. */
    readonly decay: number;
    readonly layers: readonly { readonly name: string; readonly scheme: Scheme; readonly rank: number }[];
  };
}

/** `lowrank create --list --json`. */
export interface ArchitecturesReport {
  readonly schema: 'lowrank.architectures/1';
  readonly tool: { readonly name: 'lowrank'; readonly version: string };
  /** As published: what `create` takes where nothing else is said. */
  readonly architectures: readonly ArchitectureEntry[];
}

export interface ArchitectureEntry {
  readonly arch: string;
  readonly params: number;
  readonly imageSize: number;
  readonly inChannels: number;
  readonly numClasses: number;
}
