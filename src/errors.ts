/** Stable error codes: scripts may match on them. */
export type ErrorCode =
  | 'INPUT' // a file or folder that cannot be used
  | 'FORMAT' // bytes that are not what the format says
  | 'EXTERNAL_DATA' // external tensor data: missing, out of the folder, too short
  | 'GRAPH' // an ONNX graph that breaks its own rules
  | 'SHAPE' // shapes that cannot be inferred or do not fit
  | 'UNSUPPORTED' // valid, but not something this tool can do
  | 'USAGE' // contradictory or impossible settings
  | 'OUTPUT' // a file that cannot be written
  | 'RUNTIME' // onnxruntime refused or failed
  | 'DEVICE' // a device or provider that is not there
  | 'NUMERIC' // NaN, infinity, no convergence
  | 'VERIFY' // the written model does not do what the original does
  | 'ABORTED' // stopped by the user or an AbortSignal
  | 'INTERNAL';

/** Where an error happened: a path, and a node or tensor in it. */
export interface ErrorDetails {
  /** The file, node or option: "in model.onnx, node 'conv1'". */
  readonly place?: string;
  /** What to do about it, as an imperative. */
  readonly remedy?: string;
  readonly cause?: unknown;
}

/**
 * The only error class of the project. `message` is one line: fact, place, remedy.
 */
export class LowrankError extends Error {
  readonly code: ErrorCode;
  readonly fact: string;
  readonly place: string | undefined;
  readonly remedy: string | undefined;

  constructor(code: ErrorCode, fact: string, details: ErrorDetails = {}) {
    const parts = [fact, details.place, details.remedy].filter((part) => part !== undefined && part !== '');
    super(parts.join('; ').replaceAll(/\s*[\r\n]+\s*/g, ' '), { cause: details.cause });
    this.name = 'LowrankError';
    this.code = code;
    this.fact = fact;
    this.place = details.place;
    this.remedy = details.remedy;
  }
}

/** Throws `ABORTED` if the signal has fired. Call it between units of work. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new LowrankError('ABORTED', 'interrupted');
}

/** Text of anything that was thrown, on one line. */
export function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replaceAll(/\s*[\r\n]+\s*/g, ' ').trim();
}
