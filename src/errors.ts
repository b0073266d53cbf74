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

const asWritten = (text: string): string => text;

/** How texts name options: by the flags of the commands, as they are written here, or as the library's entry says. */
let naming = asWritten;

/** From now on options in errors and reports are named so. */
export function nameOptionsBy(names: (text: string) => string): void {
  naming = names;
}

/** A sentence that names options as errors do. */
export function inWordsOfCaller(text: string): string {
  return naming(text);
}

/** Fields of reports that hold sentences. */
const sentences: ReadonlySet<string> = new Set(['warnings', 'reason', 'advice', 'why']);

/** A report that names options in its sentences as errors do. */
export function inWords<Report>(report: Report): Report {
  return naming === asWritten ? report : (translated(report, false) as Report);
}

function translated(value: unknown, isSentence: boolean): unknown {
  if (typeof value === 'string') return isSentence ? naming(value) : value;
  if (Array.isArray(value)) {
    // Spectra and curves are long lists of numbers.
    return typeof value[0] === 'number' ? value : value.map((item) => translated(item, isSentence));
  }
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, translated(item, sentences.has(key))]));
}

/** Characters of a fact, a place or a remedy that reach the message: the longest path of Linux fits. */
const longestPart = 4096;

/**
 * The only error class of the project. `message` is one line: fact, place, remedy.
 */
export class LowrankError extends Error {
  readonly code: ErrorCode;
  readonly fact: string;
  readonly place: string | undefined;
  readonly remedy: string | undefined;

  constructor(code: ErrorCode, fact: string, details: ErrorDetails = {}) {
    const [ownFact, place, remedy] = [fact, details.place, details.remedy].map((part) =>
      part === undefined ? undefined : naming(part),
    );
    const parts = [ownFact, place, remedy].filter((part) => part !== undefined && part !== '');
    super(parts.map((part) => printable(part!)).join('; '), { cause: details.cause });
    this.name = 'LowrankError';
    this.code = code;
    this.fact = ownFact!;
    this.place = place;
    this.remedy = remedy;
  }
}

/** Names come from files: nothing in them may move a terminal's cursor, break the line or fill the screen. */
function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what must go
  const line = text.replaceAll(/\s*[\u0000-\u001f\u007f-\u009f\u2028\u2029]+\s*/g, ' ');
  return line.length > longestPart ? `${line.slice(0, longestPart)} …` : line;
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

/**
 * The error for what the machine refused: open files, memory, a folder that is gone. undefined for everything else, which is a
 * defect of this program where nothing else explains it.
 */
export function environmentError(error: unknown): LowrankError | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code, syscall } = error as NodeJS.ErrnoException;
  const text = messageOf(error);
  if (syscall === 'uv_cwd' || /\buv_cwd\b/.test(text)) {
    return new LowrankError('RUNTIME', 'the working directory does not exist any more', {
      remedy: 'change to a folder that exists',
      cause: error,
    });
  }
  if (code === 'EMFILE' || code === 'ENFILE' || /\bE[MN]FILE\b/.test(text)) {
    return new LowrankError('RUNTIME', 'the system lets this process open no more files', {
      remedy: 'raise the limit (`ulimit -n 1024`), or lower --workers, or lower --threads',
      cause: error,
    });
  }
  const isMemory =
    code === 'ENOMEM' || code === 'ERR_WORKER_OUT_OF_MEMORY' || /\bENOMEM\b|allocation failed/i.test(text);
  if (isMemory || code === 'ERR_WORKER_INIT_FAILED' || (code === 'EAGAIN' && syscall !== undefined)) {
    return new LowrankError('RUNTIME', `the system gives this process no more memory or threads: ${text}`, {
      remedy: 'free memory, or lower --workers, or lower --batch-size, or lower --threads',
      cause: error,
    });
  }
  // Whatever else a call of the system failed with.
  return syscall === undefined
    ? undefined
    : new LowrankError('RUNTIME', `the system refuses: ${text}`, { cause: error });
}
