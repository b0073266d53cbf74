import { LowrankError, messageOf, throwIfAborted } from '../errors.js';
import type { RunnableModel } from '../graph/runnable.js';
import { isOverLimit, withinLimits } from '../limits.js';
import { isAllocationFailure } from '../runtime/failure.js';
import { neverSpin } from '../runtime/threads.js';
import type { Driver, RuntimeTensor, Session, SessionOptions } from '../runtime/types.js';
import { toNumbers } from './samples.js';

export interface Verification {
  /** Largest difference of any element of any output. */
  readonly maxAbsDiff: number;
  /** maxAbsDiff / largest magnitude in the original's outputs. */
  readonly relativeDiff: number;
  readonly samples: number;
}

type Outputs = Readonly<Record<string, RuntimeTensor>>;

/**
 * For a few runs, rewriting the graph and copying the weights into the layout of the kernels costs more time and memory
 * than it saves, and threads that spin between operators only take the cores from each other.
 */
const fewRuns = {
  graphOptimization: 'disabled',
  memoryArena: false,
  config: { 'session.disable_prepacking': '1', ...neverSpin },
} as const satisfies SessionOptions;

/** Runs the original on every sample, for comparison later; the session does not outlive the call. Throws RUNTIME where it takes more than `options.limits`. */
export async function runReference(
  driver: Driver,
  { model, externalDataFolder }: RunnableModel,
  samples: readonly Readonly<Record<string, RuntimeTensor>>[],
  options: SessionOptions,
  signal?: AbortSignal,
): Promise<Outputs[]> {
  const once: SessionOptions = {
    ...options,
    ...fewRuns,
    config: { ...options.config, ...fewRuns.config },
    ...(externalDataFolder === undefined ? {} : { externalDataFolder }),
  };
  const check = (within: AbortSignal): Promise<Outputs[]> =>
    withSession(driver, model, once, async (session) => {
      const results: Outputs[] = [];
      for (const feeds of samples) {
        throwIfAborted(within);
        results.push(await session.run(feeds, undefined, { signal: within }));
      }
      return results;
    });
  return withinLimits('running the model to check the conversion', options.limits, signal, check);
}

/**
 * Compares a model with reference outputs. Throws VERIFY where it does not load, its outputs have other names or shapes,
 * or it is not finite where the original is.
 */
export async function verifyAgainst(
  driver: Driver,
  model: string,
  samples: readonly Readonly<Record<string, RuntimeTensor>>[],
  reference: readonly Outputs[],
  options: SessionOptions,
  signal?: AbortSignal,
): Promise<Verification> {
  let results: Outputs[];
  try {
    results = await runReference(driver, { model }, samples, options, signal);
  } catch (error) {
    if (error instanceof LowrankError && error.code === 'ABORTED') throw error;
    if (isOverLimit(error) || isAllocationFailure(error)) throw error;
    throw new LowrankError('VERIFY', `onnxruntime refuses the converted model: ${messageOf(error)}`, {
      remedy: 'this is a defect of lowrank; nothing was written',
      cause: error,
    });
  }
  let maxAbsDiff = 0;
  let largest = 0;
  reference.forEach((expected, sample) => {
    for (const [name, before] of Object.entries(expected)) {
      const after = results[sample]?.[name];
      if (after === undefined || String(after.dims) !== String(before.dims)) {
        throw new LowrankError(
          'VERIFY',
          `output '${name}' is [${after?.dims.join(', ')}], was [${before.dims.join(', ')}]`,
          {
            remedy: 'this is a defect of lowrank; nothing was written',
          },
        );
      }
      const a = toNumbers(before);
      const b = toNumbers(after);
      for (let i = 0; i < a.length; i++) {
        if (!Number.isFinite(a[i]!)) continue;
        if (!Number.isFinite(b[i]!)) {
          throw new LowrankError(
            'VERIFY',
            `output '${name}' of the converted model is ${b[i]} where the original is finite`,
            {
              remedy:
                'keep the layers with the largest function error (--exclude) or raise the ranks; nothing was written',
            },
          );
        }
        maxAbsDiff = Math.max(maxAbsDiff, Math.abs(a[i]! - b[i]!));
        largest = Math.max(largest, Math.abs(a[i]!));
      }
    }
  });
  return { maxAbsDiff, relativeDiff: largest === 0 ? maxAbsDiff : maxAbsDiff / largest, samples: samples.length };
}

async function withSession<T>(
  driver: Driver,
  model: string | Uint8Array,
  options: SessionOptions,
  use: (session: Session) => Promise<T>,
): Promise<T> {
  const session = await driver.createSession(model, options);
  try {
    return await use(session);
  } finally {
    await session.close();
  }
}
