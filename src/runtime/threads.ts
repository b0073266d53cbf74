import { availableParallelism } from 'node:os';
import { limitsOf, type LimitOptions } from '../limits.js';
import type { Device, SessionOptions } from './types.js';

/**
 * Threads of one operator. Always set explicitly: onnxruntime's own default pins threads to cores, which fails in
 * containers that may not use them all.
 */
export function threadsOf(options: SessionOptions): number {
  return options.threads ?? availableParallelism();
}

/**
 * Session configuration: threads never look for work (spin). For sessions that run side by side with others or with workers,
 * from which spinning threads would take cores.
 */
export const neverSpin = { 'session.intra_op.allow_spinning': '0' } as const;

/**
 * Session configuration: threads that look for work within a run stop when it ends. Else they go on for some tens of
 * milliseconds, and take a core from the sessions that run next.
 */
export const restBetweenRuns = { 'session.force_spinning_stop': '1' } as const;

/** Of a command's settings, where 0 threads, or null, are all cores. */
export function sessionOptionsOf({
  device,
  threads,
  ...limits
}: {
  readonly device: Device;
  readonly threads: number | null;
} & Partial<LimitOptions>): SessionOptions {
  const own = limitsOf(limits);
  return {
    device,
    ...(Object.keys(own).length === 0 ? {} : { limits: own }),
    ...(threads === null || threads === 0 ? {} : { threads }),
  };
}
