import type {
  Binding,
  BoundTensor,
  DeviceTensor,
  Driver,
  RuntimeTensor,
  Session,
  SessionOptions,
} from '../runtime/types.js';
import { type ScalarLog, scalarLog } from './scalar-log.js';

type ScalarType = 'float32' | 'int64';

/** A scalar that runs are given. */
export interface ScalarInput {
  /** Where it lies, always there. */
  readonly tensor: BoundTensor;
  /** For the runs from now on; none that reads it may be in flight. */
  set(value: number): Promise<void>;
}

/** A scalar that runs give. */
export interface ScalarOutput {
  /** To be called for each binding that gives it, once. */
  bind(binding: Binding, name: string): void;
  /** Before each run. */
  begin(binding: Binding, name: string): void;
  /** After each run, before the next one. */
  end(): Promise<void>;
  /** What the last run gave; NaN where that is not read yet. */
  readonly value: number;
  /** What the runs since the last call gave, in order, where they are read together. */
  take(): Promise<readonly number[]>;
  close(): Promise<void>;
}

function arrayOf(type: ScalarType): RuntimeTensor & { readonly data: Float32Array | BigInt64Array } {
  return { type, dims: [], data: type === 'float32' ? new Float32Array(1) : new BigInt64Array(1) };
}

function put({ data }: ReturnType<typeof arrayOf>, value: number): void {
  if (data instanceof Float32Array) data[0] = value;
  else data[0] = BigInt(value);
}

/** In an array, which each run reads. */
function hostScalar(type: ScalarType): ScalarInput {
  const tensor = arrayOf(type);
  return {
    tensor,
    set: (value) => {
      put(tensor, value);
      return Promise.resolve();
    },
  };
}

/** In the memory of `owner`'s device. */
function deviceScalar(type: ScalarType, owner: Session): ScalarInput {
  const host = arrayOf(type);
  const tensor = owner.allocate(type, []);
  return {
    tensor,
    set: async (value) => {
      put(host, value);
      await tensor.write(host.data);
    },
  };
}

const nothing = (): Promise<void> => Promise.resolve();

/** Written into an array by each run. */
function readAtOnce(type: ScalarType): ScalarOutput {
  const tensor = arrayOf(type);
  return {
    bind: (binding, name) => {
      binding.bindOutput(name, tensor);
    },
    begin: () => undefined,
    end: nothing,
    get value() {
      return Number(tensor.data[0]);
    },
    take: () => Promise.resolve([]),
    close: nothing,
  };
}

/** Left on the device by each run, where `log` says. */
function readTogether(log: ScalarLog): ScalarOutput {
  return {
    bind: () => undefined,
    begin: (binding, name) => {
      binding.bindOutput(name, log.next());
    },
    end: nothing,
    value: Number.NaN,
    take: () => log.take(),
    close: () => log.close(),
  };
}

/** Written by all runs to one place on `owner`'s device, and brought from there into the log, or else read, after each. */
function fixedPlace(type: ScalarType, owner: Session, log: ScalarLog | undefined): ScalarOutput {
  const place: DeviceTensor = owner.allocate(type, []);
  const last = arrayOf(type);
  put(last, type === 'float32' ? Number.NaN : 0);
  return {
    bind: (binding, name) => {
      binding.bindOutput(name, place);
    },
    begin: () => undefined,
    end: async () => {
      if (log === undefined) await place.read(last.data);
      else await log.next().write(place);
    },
    get value() {
      return Number(last.data[0]);
    },
    take: () => log?.take() ?? Promise.resolve([]),
    close: () => log?.close() ?? nothing(),
  };
}

export interface StepScalars {
  /** Learning rate, number of the step, scale of the loss. */
  readonly rate: ScalarInput;
  readonly counter: ScalarInput;
  readonly scale: ScalarInput;
  /** Loss, number of images classified right, norm of the gradient. */
  readonly loss: ScalarOutput;
  readonly correct: ScalarOutput;
  readonly norm: ScalarOutput;
}

/**
 * The scalars of training steps: in arrays, but for runs that are recorded (`capture`), which take fixed places on the device
 * of `owner`. Those that steps give are read together where `isLate`.
 */
export function stepScalars(options: {
  readonly driver: Driver;
  readonly sessionOptions: SessionOptions;
  readonly owner: Session;
  readonly capture: boolean;
  readonly isLate: boolean;
}): StepScalars {
  const { driver, sessionOptions, owner, capture, isLate } = options;
  const input = (type: ScalarType): ScalarInput => (capture ? deviceScalar(type, owner) : hostScalar(type));
  const output = (type: ScalarType): ScalarOutput => {
    const log = isLate ? scalarLog(driver, sessionOptions, owner, type) : undefined;
    if (capture) return fixedPlace(type, owner, log);
    return log === undefined ? readAtOnce(type) : readTogether(log);
  };
  return {
    rate: input('float32'),
    counter: input('int64'),
    scale: input('float32'),
    loss: output('float32'),
    correct: output('int64'),
    norm: output('float32'),
  };
}
