import { neverSpin } from '../runtime/threads.js';
import type { SessionOptions } from '../runtime/types.js';

/**
 * Sessions that fit pairs: on CUDA in full float32, for TF32 keeps 10 bits of a factor and an SVD is promised to 1e-4. Layers
 * are fitted side by side.
 */
export function fittingSession(options: SessionOptions = {}): SessionOptions {
  return {
    ...options,
    ...(options.device === 'cuda' ? { cuda: { useTf32: false, ...options.cuda } } : {}),
    config: { ...neverSpin, ...options.config },
  };
}
