import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ComparedAccuracy, ComparedInit, ComparedRecovery, CompareReport } from '../contracts/compare.js';
import type { RecoverReport } from '../contracts/recover.js';
import { LowrankError, throwIfAborted } from '../errors.js';
import type { Predictions } from '../evaluate/eval-summary.js';
import { recoverInPlace } from '../recover/recover.js';
import type { Validation } from './accuracy.js';
import type { RecoverTrial } from './settings.js';

export interface RecoveryContext {
  readonly input: string;
  readonly init: string;
  readonly trial: RecoverTrial;
  readonly maxMemory: number | undefined;
  readonly validation: Validation | undefined;
  /** Predictions of the first initialization that was recovered. */
  readonly first: Predictions | undefined;
  readonly signal: AbortSignal | undefined;
  readonly onStep: (done: number, total: number) => void;
  readonly onImages: (done: number, total: number) => void;
}

export interface RecoveredInit {
  /** null where a number was not finite. */
  readonly recovery: ComparedRecovery | null;
  readonly predictions: Predictions | undefined;
  /** What it learned from and was judged by; undefined where it failed. */
  readonly described: CompareReport['recovery'];
  readonly warnings: readonly string[];
}

/**
 * Trains a converted model towards the original, in a folder of its own that is removed, and runs it on the images again. Throws what
 * `recover` throws, but for NUMERIC, which belongs to this initialization alone.
 */
export async function recoverConverted(bytes: Uint8Array, context: RecoveryContext): Promise<RecoveredInit> {
  const { init } = context;
  const folder = mkdtempSync(join(tmpdir(), 'lowrank-compare-'));
  const model = join(folder, 'converted.onnx');
  try {
    writeFileSync(model, bytes);
    const report = await recovered(model, context);
    const judged = await judgeRecovered(readFileSync(model), context);
    const { start, written, rate, retreats, seconds, data, settings, matching, warnings, preparation } = report;
    return {
      recovery: {
        ...{ start, written: written!, lr: rate.lr, retreats, seconds: seconds.total },
        ...(judged.accuracy === null ? {} : { accuracy: judged.accuracy, versusFirst: judged.versusFirst }),
      },
      predictions: judged.predictions,
      described: { data, settings, matching, ...(preparation === undefined ? {} : { preparation }) },
      warnings,
    };
  } catch (error) {
    if (!(error instanceof LowrankError) || error.code !== 'NUMERIC') throw error;
    const warnings = [`${init} could not be recovered: ${error.fact}`];
    return { recovery: null, predictions: undefined, described: undefined, warnings };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function recovered(
  model: string,
  { input, trial, maxMemory, signal, onStep }: RecoveryContext,
): Promise<RecoverReport> {
  const silent = (): void => {};
  const report = await recoverInPlace({
    ...trial,
    ...{ model, teacher: input, maxMemory, signal },
    progress: {
      ...{ validating: silent, epoch: silent, note: silent, done: silent },
      step: ({ step, steps }) => onStep(step, steps),
    },
  });
  throwIfAborted(signal);
  return report;
}

interface Judged {
  readonly accuracy: ComparedAccuracy | null;
  readonly versusFirst: ComparedInit['versusFirst'];
  readonly predictions: Predictions | undefined;
}

async function judgeRecovered(
  bytes: Uint8Array,
  { init, validation, first, onImages }: RecoveryContext,
): Promise<Judged> {
  if (validation === undefined) return { accuracy: null, versusFirst: null, predictions: undefined };
  const predictions = await validation.judge(`${init}, recovered`, bytes, onImages);
  return { ...validation.summarize(predictions, first), predictions };
}
