import { checkModel, sessionError } from '../failure.js';
import { checkSessionOptions } from '../check.js';
import { checkDevice } from '../device.js';
import { ELEMENT_TYPES } from '../element-type.js';
import { findLibrary } from '../library-path.js';
import { logSeverity } from '../log.js';
import { CheckedSession } from '../session.js';
import { identityModel } from '../tiny-model.js';
import type { BoundTensor, Driver, ElementType, Session, SessionOptions } from '../types.js';
import { loadApi, type NativeApi } from './api.js';
import { createSessionOptions } from './session-options.js';
import { sessionBackend } from './session.js';
import { type CopyTensor, locationOf } from './tensors.js';

const ORT_DEVICE_ALLOCATOR = 0;
const ORT_ARENA_ALLOCATOR = 1;
/** Default settings. */
const NO_ARENA_SETTINGS = null;
const ORT_MEMORY_TYPE_DEFAULT = 0;

/**
 * The C-API driver over the libonnxruntime that `library` names (default: the one in onnxruntime-node). The environment
 * and the CPU memory info live as long as the process. Throws INPUT, DEVICE or RUNTIME where it cannot be loaded.
 */
export async function loadNativeDriver(library?: string): Promise<Driver> {
  const api = await loadApi(findLibrary(library));
  const environment = api.create('CreateEnv', logSeverity(), 'lowrank');
  const memoryInfo = api.create('CreateCpuMemoryInfo', ORT_DEVICE_ALLOCATOR, ORT_MEMORY_TYPE_DEFAULT);
  const providers = availableProviders(api);
  let hasArena = false;
  const registerArena = (): void => {
    if (hasArena) return;
    hasArena = true;
    const info = api.create('CreateCpuMemoryInfo', ORT_ARENA_ALLOCATOR, ORT_MEMORY_TYPE_DEFAULT);
    api.call('CreateAndRegisterAllocator', environment, info, NO_ARENA_SETTINGS);
  };
  const copiers = new Map<string, Promise<Session>>();
  /** A session that copies tensors of one type to, from and on the device of `options`; it stays for the next copy. */
  const copierOf = (type: ElementType, { device = 'cpu', cuda }: SessionOptions): Promise<Session> => {
    const options: SessionOptions = {
      device,
      threads: 1,
      graphOptimization: 'disabled',
      ...(cuda?.deviceId === undefined ? {} : { cuda: { deviceId: cuda.deviceId } }),
    };
    const key = `${type} ${locationOf(options)}`;
    let copier = copiers.get(key);
    if (copier === undefined) {
      copier = create(identityModel(ELEMENT_TYPES[type].id), options);
      copiers.set(key, copier);
      copier.catch(() => copiers.delete(key));
    }
    return copier;
  };
  const create = async (model: string | Uint8Array, options: SessionOptions): Promise<Session> => {
    const copy: CopyTensor = async (type, from, to) => copyBy(await copierOf(type, options), from, to);
    return createSession(api, environment, memoryInfo, model, options, copy);
  };
  return {
    name: 'c-api',
    version: api.version,
    library: api.library,
    providers,
    createSession: async (model, options = {}) => {
      checkSessionOptions(options);
      await checkModel(model);
      await checkDevice(options, providers, api.library);
      if (options.sharedArena === true) registerArena();
      return create(model, options);
    },
  };
}

async function createSession(
  api: NativeApi,
  environment: bigint,
  memoryInfo: bigint,
  model: string | Uint8Array,
  options: SessionOptions,
  copy: CopyTensor,
): Promise<Session> {
  const device = options.device ?? 'cpu';
  const sessionOptions = createSessionOptions(api, options);
  const slot = new BigUint64Array(1);
  const loading = { model, slot }; // referenced below, after the native call
  try {
    const failure = await (typeof model === 'string'
      ? api.attemptAsync('CreateSession', environment, model, sessionOptions, slot)
      : api.attemptAsync('CreateSessionFromArray', environment, model, model.length, sessionOptions, slot));
    if (failure !== undefined) throw sessionError(loading.model, device, failure.message);
  } finally {
    api.release('ReleaseSessionOptions', sessionOptions);
  }
  const handle = loading.slot[0] ?? 0n;
  return new CheckedSession(sessionBackend({ api, handle, memoryInfo, options, copy }));
}

/** Copies by a run of y = x, which every device can do whatever its provider knows of copying. */
async function copyBy(copier: Session, from: BoundTensor, to: BoundTensor): Promise<void> {
  const binding = copier.bind();
  try {
    binding.bindInput('x', from);
    binding.bindOutput('y', to);
    await binding.run();
  } finally {
    binding.close();
  }
}

/** `GetAvailableProviders`: what this build knows, whether the machine has it or not. */
function availableProviders(api: NativeApi): readonly string[] {
  const names = new BigUint64Array(1);
  const count = new Int32Array(1);
  api.call('GetAvailableProviders', names, count);
  const list = names[0] ?? 0n;
  const length = count[0] ?? 0;
  const pointers = new BigUint64Array(api.copy(list, length * BigUint64Array.BYTES_PER_ELEMENT));
  const providers = Array.from(pointers, (pointer) => api.text(pointer));
  api.call('ReleaseAvailableProviders', list, length);
  return providers;
}
