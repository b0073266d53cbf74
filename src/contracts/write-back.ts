/** The published JSON contract of `lowrank-artifacts --write-back --json`. A field is added, never renamed. */
import type { WrittenModel } from './convert.js';

/** How many tensors of a kind were put into the model, and how many numbers. */
export interface WrittenTensors {
  readonly tensors: number;
  readonly elements: number;
}

export interface WriteBackReport {
  readonly schema: 'lowrank.write-back/1';
  readonly tool: { readonly name: 'lowrank'; readonly version: string };
  /** The command line that repeats the run; absent where the library was called. */
  readonly command?: string;
  /** The model that was trained. */
  readonly model: { readonly path: string; readonly sha256: string };
  /** The file of trained tensors. */
  readonly trained: { readonly path: string; readonly sha256: string };
  /** The folder of artifacts that says which tensors are trained; null where the model itself was named. */
  readonly artifacts: string | null;
  readonly parameters: WrittenTensors;
  readonly statistics: WrittenTensors;
  /** Ranks that the layers ended with, where these were found while they were trained; in one piece where a pair would have as many parameters. */
  readonly ranks?: readonly { readonly name: string; readonly rank: number; readonly inOnePiece?: boolean }[];
  readonly output: WrittenModel;
  readonly warnings: readonly string[];
}
