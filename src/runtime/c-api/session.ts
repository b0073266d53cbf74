import type { BindingBackend, BindingSide } from '../binding.js';
import type { SessionBackend } from '../session.js';
import { LowrankError } from '../../errors.js';
import { isOnDevice } from '../check.js';
import type { BoundTensor, RuntimeTensor, SessionOptions } from '../types.js';
import type { Failure, NativeApi } from './api.js';
import { lifetime, type Lifetime } from './lifetime.js';
import { readPlacement, wantsPlacement } from './placement.js';
import { runThread } from './run-thread.js';
import { execute, NO_GRAPH, untilClosed } from './runs.js';
import { nativeStrings } from './strings.js';
import { type CopyTensor, lifetimeOf, nativeTensor, sessionTensors } from './tensors.js';
import { copyTensor, readValueInfos, wrapTensor } from './values.js';

/** Native objects of a session and what it was made for. */
export interface NativeSession {
  readonly api: NativeApi;
  /** An OrtSession, owned. */
  readonly handle: bigint;
  /** An OrtMemoryInfo of CPU memory, borrowed. */
  readonly memoryInfo: bigint;
  readonly options: SessionOptions;
  /** Copies to and from the session's device. */
  readonly copy: CopyTensor;
}

export function sessionBackend(session: NativeSession): SessionBackend {
  const { api, handle, memoryInfo, options, copy } = session;
  const inputs = readValueInfos(api, handle, 'Input');
  const outputs = readValueInfos(api, handle, 'Output');
  const inputNames = nativeStrings(
    api,
    inputs.map((input) => input.name),
  );
  const release = (): void => {
    api.release('ReleaseSession', handle);
  };
  const closed = untilClosed(release);
  const life = lifetime(() => {
    closed();
    release();
  });
  const tensors = sessionTensors(api, handle, options, life, copy);
  return {
    inputs,
    outputs,
    run: async (feeds, wanted, signal) => {
      const inputValues = new BigUint64Array(feeds.length);
      const outputValues = new BigUint64Array(wanted.length);
      const outputNames = nativeStrings(api, wanted);
      try {
        for (const [index, { tensor }] of feeds.entries()) inputValues[index] = wrapTensor(api, memoryInfo, tensor);
        const keep = { feeds, inputNames, inputValues, outputNames, outputValues };
        const start = (runOptions: bigint): Promise<Failure | undefined> =>
          api.attemptAsync(
            'Run',
            handle,
            runOptions,
            inputNames.pointers,
            inputValues,
            inputValues.length,
            outputNames.pointers,
            outputValues.length,
            outputValues,
          );
        await execute(api, signal, keep, start, options.capture === true ? NO_GRAPH : undefined);
        return Object.fromEntries(
          wanted.map((name, index) => [name, copyTensor(api, name, outputValues[index] ?? 0n)]),
        );
      } finally {
        for (const value of [...inputValues, ...outputValues]) api.release('ReleaseValue', value);
      }
    },
    bind: () => bindingBackend(session),
    placement: wantsPlacement(options) ? readPlacement(api, handle) : undefined,
    location: tensors.location,
    allocate: (type, dims) => tensors.allocate(type, dims),
    allocateHost: (type, dims) => tensors.allocateHost(type, dims),
    close: async () => {
      const profile = options.profilePrefix === undefined ? undefined : endProfiling(session);
      tensors.close();
      life.release();
      return Promise.resolve(profile);
    },
  };
}

/** Recordings are numbered through the whole process. */
let nextGraph = 1;

/**
 * An OrtIoBinding. It takes a reference of its own to each OrtValue; the arrays are kept by whoever bound them, and the
 * memory of tensors on a device for as long as they are bound.
 */
function bindingBackend({ api, handle, memoryInfo, options }: NativeSession): BindingBackend {
  const { device = 'cpu', capture = false } = options;
  const binding = api.create('CreateIoBinding', handle);
  /** Of the recording of what is bound; undefined where none was made. */
  let graph: number | undefined;
  const used = new Map<string, Lifetime>();
  /** What is bound under a key is `next` from now on. */
  const use = (key: string, next: Lifetime | undefined): void => {
    next?.retain();
    used.get(key)?.release();
    if (next === undefined) used.delete(key);
    else used.set(key, next);
  };
  const bindValue = (side: BindingSide, name: string, tensor: BoundTensor): void => {
    const native = isOnDevice(tensor) ? nativeTensor(api, tensor).value : undefined;
    const value = native ?? wrapTensor(api, memoryInfo, tensor as RuntimeTensor);
    try {
      api.call(side === 'input' ? 'BindInput' : 'BindOutput', binding, name, value);
      use(`${side} ${name}`, lifetimeOf(tensor));
    } finally {
      if (native === undefined) api.release('ReleaseValue', value);
    }
  };
  return {
    bind: (side, name, tensor) => {
      if (capture && !isOnDevice(tensor)) {
        throw new LowrankError('RUNTIME', 'a session that records its runs takes tensors of its device alone', {
          place: `${side} '${name}'`,
          remedy: 'bind a tensor from Session.allocate',
        });
      }
      graph = undefined;
      // On another device onnxruntime copies an array when it is bound as an input: each run binds what it holds then.
      if (side === 'output' || device === 'cpu' || isOnDevice(tensor)) bindValue(side, name, tensor);
    },
    run: async (inputs, outputs, signal) => {
      if (device !== 'cpu') {
        for (const [name, tensor] of inputs) if (!isOnDevice(tensor)) bindValue('input', name, tensor);
      }
      const keep = [...inputs.values(), ...outputs.values()];
      if (capture) {
        const thread = runThread(api.library);
        const start = (runOptions: bigint): Promise<Failure | undefined> =>
          thread.run({ session: handle, runOptions, binding });
        await execute(api, signal, keep, start, (graph ??= nextGraph++));
      } else {
        await execute(api, signal, keep, (runOptions) =>
          api.attemptAsync('RunWithBinding', handle, runOptions, binding),
        );
      }
    },
    dispose: () => {
      api.release('ReleaseIoBinding', binding);
      for (const life of used.values()) life.release();
      used.clear();
    },
  };
}

/** The path of the profile that was written. */
function endProfiling({ api, handle }: NativeSession): string {
  const allocator = api.create('GetAllocatorWithDefaultOptions');
  const address = api.create('SessionEndProfiling', handle, allocator);
  const file = api.text(address);
  api.call('AllocatorFree', allocator, address);
  return file;
}
