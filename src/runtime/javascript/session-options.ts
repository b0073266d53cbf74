import type { InferenceSession } from 'onnxruntime-node';
import { LowrankError } from '../../errors.js';
import { logSeverity } from '../log.js';
import { threadsOf } from '../threads.js';
import type { SessionOptions } from '../types.js';

/** Ours → onnxruntime-node's. Throws UNSUPPORTED for what its JavaScript API cannot set. */
export function toSessionOptions(options: SessionOptions): InferenceSession.SessionOptions {
  if (options.capture === true) {
    throw new LowrankError('UNSUPPORTED', 'the JavaScript driver cannot record runs', {
      remedy: 'use the C-API driver',
    });
  }
  return {
    executionProviders: [executionProvider(options)],
    intraOpNumThreads: threadsOf(options),
    enableCpuMemArena: options.memoryArena !== false,
    enableMemPattern: options.memoryPattern === true,
    graphOptimizationLevel: options.graphOptimization ?? 'all',
    logSeverityLevel: logSeverity() as 0 | 1 | 2 | 3 | 4,
    ...(options.profilePrefix === undefined ? {} : { enableProfiling: true, profileFilePrefix: options.profilePrefix }),
    extra: {
      ...options.config,
      ...(options.externalDataFolder === undefined
        ? {}
        : { 'session.model_external_initializers_file_folder_path': options.externalDataFolder }),
    },
  };
}

function executionProvider(options: SessionOptions): InferenceSession.ExecutionProviderConfig {
  if (options.device !== 'cuda') return options.device ?? 'cpu';
  const { deviceId, ...others } = options.cuda ?? {};
  const unknown = Object.entries(others).filter(([, value]) => value !== undefined);
  if (unknown.length > 0) {
    const names = unknown.map(([name]) => name).join(', ');
    throw new LowrankError('UNSUPPORTED', `the JavaScript driver cannot set these CUDA options: ${names}`, {
      remedy: 'use the C-API driver',
    });
  }
  return { name: 'cuda', ...(deviceId === undefined ? {} : { deviceId }) };
}
