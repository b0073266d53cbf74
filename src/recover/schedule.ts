import type { Schedule } from '../training/schedule.js';

const warmupShare = 0.1;

/** A rise from 0, and a cosine down to it. */
export function scheduleOf(base: number, steps: number): Schedule {
  const warmup = Math.max(1, Math.round(warmupShare * steps));
  return { kind: 'cosine', base, warmup, total: Math.max(steps, warmup + 1), minimum: 0, period: 1, factor: 1 };
}
