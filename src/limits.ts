import { totalmem } from 'node:os';
import { type ErrorDetails, LowrankError, throwIfAborted } from './errors.js';

/** What runs of a user's model may take. */
export interface RunLimits {
  /** Bytes of memory; default `machineMemory()`. */
  readonly memory?: number;
  /** Seconds of a run that checks something or finds out shapes; default 600. */
  readonly seconds?: number;
}

/** Options of everything that runs a user's model, with the names of the command line. */
export interface LimitOptions {
  /** MiB that the model may need at once; default: the memory of the machine. */
  readonly maxMemory?: number | undefined;
  /** Seconds that a run which checks the model, or finds out its shapes, may take; default 600. */
  readonly verifyTimeout?: number | undefined;
}

export const defaultVerifyTimeout = 600;

const mebibyte = 2 ** 20;

/** How often memory is looked at. */
const watchMs = 200;

/** Timers of Node take no more milliseconds. */
const longestTimer = 2 ** 31 - 1;

/** The options, checked. Throws USAGE. */
export function checkedLimits(options: LimitOptions): LimitOptions {
  const { maxMemory, verifyTimeout } = options;
  for (const [name, value] of Object.entries({ maxMemory, verifyTimeout })) {
    if (value === undefined || (Number.isFinite(value) && value > 0)) continue;
    throw new LowrankError('USAGE', `${name} is ${value}, no positive number`, { remedy: 'give one such as 600' });
  }
  return {
    ...(maxMemory === undefined ? {} : { maxMemory }),
    ...(verifyTimeout === undefined ? {} : { verifyTimeout }),
  };
}

export function limitsOf({ maxMemory, verifyTimeout }: LimitOptions): RunLimits {
  return {
    ...(maxMemory === undefined ? {} : { memory: maxMemory * mebibyte }),
    ...(verifyTimeout === undefined ? {} : { seconds: verifyTimeout }),
  };
}

/** Bytes of memory that this process may use: those of the machine, or of the container where that has fewer. */
export function machineMemory(): number {
  const total = totalmem();
  const constrained = process.constrainedMemory();
  return constrained > 0 && constrained < total ? constrained : total;
}

const overLimit = new WeakSet<LowrankError>();

/** Whether an error says that a model took more memory or time than it may, which says nothing against the model itself. */
export function isOverLimit(error: unknown): error is LowrankError {
  return error instanceof LowrankError && overLimit.has(error);
}

/** A model takes, or would take, more than it may. */
function limitError(fact: string, details: ErrorDetails): LowrankError {
  const error = new LowrankError('RUNTIME', fact, details);
  overLimit.add(error);
  return error;
}

/** A model needs, or needed, more memory than it may. */
export function memoryError(fact: string, place?: string): LowrankError {
  return limitError(fact, {
    ...(place === undefined ? {} : { place }),
    remedy:
      'allow more with --max-memory, or make the inputs smaller with --input-shape, or make the images smaller with --image-size, or give a smaller model',
  });
}

/**
 * Ends the runs of `action`, which gets the signal for them, where they take longer or where the process grows by more than it
 * may. `subject` begins the message: "running the model to check it". Throws RUNTIME then (`isOverLimit`), ABORTED where `signal` fires.
 */
export async function withinLimits<T>(
  subject: string,
  { memory = machineMemory(), seconds = defaultVerifyTimeout }: RunLimits = {},
  signal: AbortSignal | undefined,
  action: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  throwIfAborted(signal);
  const own = new AbortController();
  let over: LowrankError | undefined;
  const end = (error: LowrankError): void => {
    over ??= error;
    own.abort(over);
  };
  const outOfTime = (): void => {
    const remedy = 'give more time with --verify-timeout, or skip it with --no-verify';
    end(limitError(`${subject} took longer than ${seconds} s`, { remedy }));
  };
  const timer = setTimeout(outOfTime, Math.min(seconds * 1000, longestTimer));
  const before = process.memoryUsage.rss();
  const watch = setInterval(() => {
    if (process.memoryUsage.rss() - before <= memory) return;
    end(memoryError(`${subject} took more memory than ${inMebibytes(memory)}`));
  }, watchMs);
  // The process may end meanwhile.
  timer.unref();
  watch.unref();
  const interrupt = (): void => own.abort(signal?.reason);
  signal?.addEventListener('abort', interrupt, { once: true });
  try {
    return await action(own.signal);
  } catch (error) {
    throwIfAborted(signal);
    throw over ?? error;
  } finally {
    clearTimeout(timer);
    clearInterval(watch);
    signal?.removeEventListener('abort', interrupt);
  }
}

/** "16384 MiB", as `--max-memory` takes it. */
export function inMebibytes(bytes: number): string {
  const mebibytes = bytes / mebibyte;
  return mebibytes < 1e15 ? `${Math.ceil(mebibytes)} MiB` : `${mebibytes.toPrecision(2)} MiB`;
}
