import type { SessionOptions } from '../runtime/types.js';

/**
 * Sessions that fit pairs: on CUDA in full float32, for TF32 keeps 10 bits of a factor and an SVD is promised to 1e-4. Layers
 * are fitted side by side, where threads that spin while they wait would take cores from each other.
 */
export function fittingSession(options: SessionOptions = {}): SessionOptions {
  return {
    ...options,
    ...(options.device === 'cuda' ? { cuda: { useTf32: false, ...options.cuda } } : {}),
    config: { 'session.intra_op.allow_spinning': '0', ...options.config },
  };
}
