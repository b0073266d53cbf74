/** The published JSON contract of `lowrank-train --explain --json`. A field is added, never renamed. */
import type { Kept, Scheme } from './convert.js';
import type { Preparation } from './images.js';

/** Something that was chosen for a training. */
export interface Choice {
  readonly name: string;
  readonly value: string;
  /** Whether it is what is chosen where nothing is said. */
  readonly isDefault: boolean;
  readonly why: string;
}

/** Layers whose ranks are found, before the first update. */
export interface ExplainedRanks {
  readonly layers: readonly {
    readonly name: string;
    readonly label: string;
    readonly scheme: Scheme;
    /** Of the matrix that is factorized. */
    readonly rows: number;
    readonly cols: number;
    readonly startRank: number;
    /** The largest that a cut leaves. */
    readonly mostRank: number;
    /** What the first graphs have room for: ranks, and bases that are widened. */
    readonly room: { readonly rank: number; readonly bases: number };
  }[];
  /** The other layers, and why they stay as they are. */
  readonly kept: readonly Kept[];
}

export interface TrainExplainReport {
  readonly schema: 'lowrank.train-explain/1';
  readonly tool: { readonly name: 'lowrank'; readonly version: string };
  /** The command line that repeats the run; absent where the library was called. */
  readonly command?: string;
  readonly model: { readonly path: string; readonly sha256: string };
  /** Every option with its value, defaults included. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** How images become inputs in validation, and who says so; absent where the model takes no images. */
  readonly preparation?: Preparation;
  readonly choices: readonly Choice[];
  /** The tensors that are trained, by the names of their initializers, and whether weight decay applies. */
  readonly parameters: readonly { readonly name: string; readonly shape: readonly number[]; readonly decay: boolean }[];
  /** The other stored float tensors that the output depends on, and why they stay as they are. */
  readonly kept: readonly { readonly name: string; readonly shape: readonly number[]; readonly reason: string }[];
  /** Absent where no ranks are found. */
  readonly ranks?: ExplainedRanks;
  readonly gradient: {
    readonly nodes: number;
    readonly casts: number;
    /** Multiply-accumulates of one run, all and those whose result is float16 or bfloat16. */
    readonly macs: number;
    readonly halfMacs: number;
    /** That the nodes of one run read and write, each by itself. */
    readonly bytes: number;
    /** With `--device cuda`: nodes that onnxruntime has no kernel for there, or prefers on the CPU. */
    readonly cpuNodes?: number;
  };
  readonly warnings: readonly string[];
}
