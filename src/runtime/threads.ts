import { availableParallelism } from 'node:os';
import type { SessionOptions } from './types.js';

/**
 * Threads of one operator. Always set explicitly: onnxruntime's own default pins threads to cores, which fails in
 * containers that may not use them all.
 */
export function threadsOf(options: SessionOptions): number {
  return options.threads ?? availableParallelism();
}
