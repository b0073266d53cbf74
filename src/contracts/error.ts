/** The published JSON contract of every command that fails with `--json`. A field is added, never renamed. */
import type { ErrorCode } from '../errors.js';

export interface ErrorReport {
  readonly schema: 'lowrank.error/1';
  readonly tool: { readonly name: 'lowrank'; readonly version: string };
  readonly error: {
    readonly code: ErrorCode;
    /** All of it in one line, as on stderr. */
    readonly message: string;
    readonly fact: string;
    /** The file, node or option; null where there is none. */
    readonly place: string | null;
    /** What to do about it; null where nothing is known. */
    readonly remedy: string | null;
  };
  /** Of the process: 1 failed, 2 wrong usage, 130 interrupted. */
  readonly exitCode: number;
}
