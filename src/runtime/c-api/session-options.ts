import { logSeverity } from '../log.js';
import { threadsOf } from '../threads.js';
import type { SessionOptions } from '../types.js';
import type { NativeApi } from './api.js';
import { PLACEMENT_KEY, wantsPlacement } from './placement.js';
import { appendProvider } from './providers.js';

/** `GraphOptimizationLevel`. */
const OPTIMIZATION_LEVELS = { disabled: 0, basic: 1, extended: 2, all: 99 } as const;

/** Folder of external data for models given as bytes. */
const EXTERNAL_DATA_KEY = 'session.model_external_initializers_file_folder_path';

/** Takes the allocators of the environment in place of new ones. */
const SHARED_ALLOCATORS_KEY = 'session.use_env_allocators';

/** An OrtSessionOptions, owned by the caller. Throws RUNTIME or DEVICE. */
export function createSessionOptions(api: NativeApi, options: SessionOptions): bigint {
  const handle = api.create('CreateSessionOptions');
  try {
    api.call('SetSessionLogSeverityLevel', handle, logSeverity());
    api.call('SetIntraOpNumThreads', handle, threadsOf(options));
    api.call(options.memoryPattern === true ? 'EnableMemPattern' : 'DisableMemPattern', handle);
    api.call('SetSessionGraphOptimizationLevel', handle, OPTIMIZATION_LEVELS[options.graphOptimization ?? 'all']);
    if (options.memoryArena === false) api.call('DisableCpuMemArena', handle);
    if (options.sharedArena === true) api.call('AddSessionConfigEntry', handle, SHARED_ALLOCATORS_KEY, '1');
    if (options.profilePrefix !== undefined) api.call('EnableProfiling', handle, options.profilePrefix);
    if (wantsPlacement(options)) api.call('AddSessionConfigEntry', handle, PLACEMENT_KEY, '1');
    for (const [key, value] of Object.entries(options.config ?? {})) {
      api.call('AddSessionConfigEntry', handle, key, value);
    }
    if (options.externalDataFolder !== undefined) {
      api.call('AddSessionConfigEntry', handle, EXTERNAL_DATA_KEY, options.externalDataFolder);
    }
    appendProvider(api, handle, options);
    return handle;
  } catch (error) {
    api.release('ReleaseSessionOptions', handle);
    throw error;
  }
}
