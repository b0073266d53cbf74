import type { BindingBackend } from '../binding.js';
import type { SessionBackend } from '../session.js';
import type { Device } from '../types.js';
import type { NativeApi } from './api.js';
import { execute, untilClosed } from './runs.js';
import { nativeStrings } from './strings.js';
import { copyTensor, readValueInfos, wrapTensor } from './values.js';

/** Native objects of a session and what it was made for. */
export interface NativeSession {
  readonly api: NativeApi;
  /** An OrtSession, owned. */
  readonly handle: bigint;
  /** An OrtMemoryInfo of CPU memory, borrowed. */
  readonly memoryInfo: bigint;
  readonly device: Device;
  readonly isProfiled: boolean;
}

export function sessionBackend(session: NativeSession): SessionBackend {
  const { api, handle, memoryInfo } = session;
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
        await execute(api, signal, keep, (runOptions) =>
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
          ),
        );
        return Object.fromEntries(
          wanted.map((name, index) => [name, copyTensor(api, name, outputValues[index] ?? 0n)]),
        );
      } finally {
        for (const value of [...inputValues, ...outputValues]) api.release('ReleaseValue', value);
      }
    },
    bind: () => bindingBackend(session),
    close: async () => {
      const profile = session.isProfiled ? endProfiling(session) : undefined;
      closed();
      release();
      return Promise.resolve(profile);
    },
  };
}

/** An OrtIoBinding. It takes a reference of its own to each OrtValue; the arrays are kept by whoever bound them. */
function bindingBackend({ api, handle, memoryInfo, device }: NativeSession): BindingBackend {
  const binding = api.create('CreateIoBinding', handle);
  const bind: BindingBackend['bind'] = (side, name, tensor) => {
    const value = wrapTensor(api, memoryInfo, tensor);
    try {
      api.call(side === 'input' ? 'BindInput' : 'BindOutput', binding, name, value);
    } finally {
      api.release('ReleaseValue', value);
    }
  };
  return {
    bind,
    run: async (inputs, outputs, signal) => {
      // On another device onnxruntime copies an input when it is bound: bind again what the arrays hold now.
      if (device !== 'cpu') for (const [name, tensor] of inputs) bind('input', name, tensor);
      const keep = [...inputs.values(), ...outputs.values()];
      await execute(api, signal, keep, (runOptions) => api.attemptAsync('RunWithBinding', handle, runOptions, binding));
    },
    dispose: () => {
      api.release('ReleaseIoBinding', binding);
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
