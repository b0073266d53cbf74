import type * as onnxruntime from 'onnxruntime-node';
import { LowrankError, messageOf } from '../../errors.js';
import { checkSessionOptions } from '../check.js';
import { checkDevice, PROVIDER_NAMES } from '../device.js';
import { checkModel, modelPlace, sessionError } from '../failure.js';
import { findLibrary } from '../library-path.js';
import { logLevel } from '../log.js';
import { CheckedSession } from '../session.js';
import type { Device, Driver, Session, SessionOptions } from '../types.js';
import { sessionBackend } from './session.js';
import { toSessionOptions } from './session-options.js';

/** The module `onnxruntime-node`. */
export type OnnxRuntime = typeof onnxruntime;

/**
 * onnxruntime-node's own JavaScript API, loaded at the first call. Its runs block the event loop, and it has no bfloat16
 * and no CUDA options but the device. Throws DEVICE or RUNTIME where it cannot be loaded.
 */
export async function loadJavaScriptDriver(): Promise<Driver> {
  const library = findLibrary();
  const runtime = await importRuntime(library);
  runtime.env.logLevel = logLevel();
  const version = runtime.env.versions.node ?? runtime.env.versions.common;
  const backends = new Set(runtime.listSupportedBackends().map(({ name }) => name));
  const devices = (['cuda', 'webgpu', 'cpu'] as const satisfies readonly Device[]).filter((name) => backends.has(name));
  const providers = devices.map((device) => PROVIDER_NAMES[device]);
  return {
    name: 'javascript',
    version,
    library,
    providers,
    createSession: async (model, options = {}) => {
      checkSessionOptions(options);
      await checkModel(model);
      await checkDevice(options, providers, library);
      return createSession(runtime, model, options);
    },
  };
}

async function importRuntime(library: string): Promise<OnnxRuntime> {
  try {
    return await import('onnxruntime-node');
  } catch (error) {
    throw new LowrankError('RUNTIME', `onnxruntime-node cannot be loaded: ${messageOf(error)}`, {
      place: library,
      cause: error,
    });
  }
}

async function createSession(
  runtime: OnnxRuntime,
  model: string | Uint8Array,
  options: SessionOptions,
): Promise<Session> {
  const sessionOptions = toSessionOptions(options);
  try {
    const session = await (typeof model === 'string'
      ? runtime.InferenceSession.create(model, sessionOptions)
      : runtime.InferenceSession.create(model, sessionOptions));
    return new CheckedSession(sessionBackend(runtime, session, options.profilePrefix));
  } catch (error) {
    if (error instanceof LowrankError) throw error;
    const message = messageOf(error);
    if (message.startsWith('Unsupported data type')) {
      throw new LowrankError('UNSUPPORTED', 'the JavaScript driver lacks an element type of this model', {
        place: modelPlace(model),
        remedy: 'use the C-API driver',
        cause: error,
      });
    }
    throw sessionError(model, options.device ?? 'cpu', message, error);
  }
}
