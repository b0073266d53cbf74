import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import type { InferenceSession, Tensor } from 'onnxruntime-node';
import { LowrankError, messageOf, throwIfAborted } from '../../errors.js';
import type { BindingBackend } from '../binding.js';
import { isOnDevice } from '../check.js';
import { runError } from '../failure.js';
import type { SessionBackend } from '../session.js';
import type { OnnxRuntime } from './driver.js';
import { toValueInfos, unwrapTensor, wrapFeed, wrapTensor } from './tensors.js';

type Tensors = Record<string, Tensor>;

/** A session of onnxruntime-node. Its runs happen one after the other, each in one turn of the event loop. */
export function sessionBackend(
  runtime: OnnxRuntime,
  session: InferenceSession,
  profilePrefix: string | undefined,
): SessionBackend {
  return {
    inputs: toValueInfos(session.inputMetadata),
    outputs: toValueInfos(session.outputMetadata),
    run: async (feeds, wanted, signal) => {
      const tensors = Object.fromEntries(feeds.map(({ info, tensor }) => [info.name, wrapFeed(runtime, tensor)]));
      const fetches = Object.fromEntries(wanted.map((name) => [name, null]));
      const results = await execute(session, tensors, fetches, signal);
      return Object.fromEntries(wanted.map((name) => [name, unwrapTensor(resultOf(results, name))]));
    },
    bind: () => bindingBackend(runtime, session),
    placement: undefined,
    location: 'cpu',
    allocate: noTensors,
    allocateHost: noTensors,
    close: async () => {
      if (profilePrefix !== undefined) session.endProfiling();
      await session.release();
      return profilePrefix === undefined ? undefined : newestProfile(profilePrefix);
    },
  };
}

/** The binding of the C API by feeds and preallocated fetches, which onnxruntime-node uses in place. */
function bindingBackend(runtime: OnnxRuntime, session: InferenceSession): BindingBackend {
  const sides: Readonly<Record<'input' | 'output', Tensors>> = { input: {}, output: {} };
  return {
    bind: (side, name, tensor) => {
      if (isOnDevice(tensor)) noTensors();
      sides[side][name] = wrapTensor(runtime, tensor);
    },
    run: async (_inputs, _outputs, signal) => {
      await execute(session, sides.input, sides.output, signal);
    },
    dispose: () => undefined,
  };
}

/** onnxruntime-node hands out no memory of a device. */
function noTensors(): never {
  throw new LowrankError('UNSUPPORTED', 'the JavaScript driver cannot keep tensors on a device', {
    remedy: 'use the C-API driver (LOWRANK_DRIVER=c-api)',
  });
}

async function execute(
  session: InferenceSession,
  feeds: Readonly<Tensors>,
  fetches: Readonly<Record<string, Tensor | null>>,
  signal: AbortSignal | undefined,
): Promise<InferenceSession.OnnxValueMapType> {
  throwIfAborted(signal);
  try {
    const results = await session.run(feeds, fetches);
    throwIfAborted(signal);
    return results;
  } catch (error) {
    throw error instanceof LowrankError ? error : runError(signal, messageOf(error), error);
  }
}

function resultOf(results: InferenceSession.OnnxValueMapType, name: string): Tensor {
  const tensor = results[name];
  if (tensor === undefined) throw new LowrankError('INTERNAL', `onnxruntime-node returned no output '${name}'`);
  return tensor;
}

/** onnxruntime-node does not say which file it wrote: the newest `<prefix>_<date>.json`. */
async function newestProfile(prefix: string): Promise<string | undefined> {
  const folder = path.dirname(prefix);
  const start = `${path.basename(prefix)}_`;
  const names = (await readdir(folder)).filter((name) => name.startsWith(start) && name.endsWith('.json'));
  const files = await Promise.all(
    names.map(async (name) => {
      const file = path.join(folder, name);
      return { file, changed: (await stat(file)).mtimeMs };
    }),
  );
  return files.toSorted((a, b) => a.changed - b.changed).at(-1)?.file;
}
