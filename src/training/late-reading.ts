import { LowrankError } from '../errors.js';
import type { StepScalars } from './step-scalars.js';
import type { Measured } from './trainer.js';

/** What the updates since the last reading gave, or the first of them that failed. */
export type LateResult =
  | { readonly measured: Measured | undefined }
  | {
      /** Updates that were good. */
      readonly step: number;
      readonly error: LowrankError;
    };

/** Reads the losses, counts and norms of several updates together, which nobody has waited for. */
export interface LateReading {
  /** Updates that were read. */
  readonly read: number;
  /** A micro-batch belongs to the update behind `step` others. */
  begin(step: number): void;
  /** What all updates up to `done` gave, which are to have ended. */
  take(done: number): Promise<LateResult>;
}

export function lateReading(
  { loss, correct, norm }: Pick<StepScalars, 'loss' | 'correct' | 'norm'>,
  step: number,
): LateReading {
  /** For each loss in the log, the update that it belongs to, from 0. */
  const lossSteps: number[] = [];
  let read = step;
  return {
    get read() {
      return read;
    },
    begin: (step) => void lossSteps.push(step),
    async take(done) {
      const [first, last] = [read + 1, done];
      if (first > last) return { measured: undefined };
      const losses = await loss.take();
      const counts = await correct.take();
      const norms = await norm.take();
      const steps = lossSteps.splice(0);
      const failed = losses.findIndex((value) => !Number.isFinite(value));
      const unnormed = norms.findIndex((value) => !Number.isFinite(value));
      const step = Math.min(failed < 0 ? Infinity : steps[failed]!, unnormed < 0 ? Infinity : read + unnormed);
      if (step !== Infinity) {
        const fact =
          failed >= 0 && steps[failed] === step
            ? `the loss is ${losses[failed]!}`
            : `the norm of the gradient is ${norms[unnormed]!}`;
        const place = `step ${step + 1} (steps ${first} to ${last} were read together)`;
        return { step, error: new LowrankError('NUMERIC', fact, { place }) };
      }
      read = done;
      return {
        measured: {
          updates: norms.length,
          microBatches: losses.length,
          loss: sum(losses),
          correct: sum(counts),
          gradientNorm: sum(norms),
        },
      };
    },
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
