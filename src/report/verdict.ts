import type { ConvertReport } from '../contracts/convert.js';
import { formatError, plural } from './format.js';

/** What the verification says about using the written model. */
export interface Verdict {
  readonly level: 'good' | 'caution' | 'unknown';
  /** Two or three words. */
  readonly short: string;
  /** The finding, with its numbers. */
  readonly finding: string;
  /** What to do next, as an imperative. */
  readonly advice: string;
}

/**
 * Up to here the outputs count as the same: at full rank a conversion holds 1e-5 in float32, and the difference of two
 * different summation orders grows with depth; a factor of 10 leaves room for that.
 */
const SAME_OUTPUTS = 1e-4;

/** The verdict of a conversion. It never claims that accuracy is kept: that takes labelled data. */
export function verdictOf(report: ConvertReport): Verdict {
  const { verify } = report;
  if (verify === null) {
    return {
      level: 'unknown',
      short: 'Not verified',
      finding: 'The written file was not run.',
      advice: 'Convert again without --no-verify, or evaluate the model before using it.',
    };
  }
  const ran = `The written file was reloaded and run on ${plural(verify.samples, 'sample')}`;
  const difference = `the largest output difference is ${formatError(verify.maxAbsDiff)}, ${formatError(verify.relativeDiff)} relative`;
  const finding = `${ran}; ${difference}.`;
  if (!Number.isFinite(verify.relativeDiff)) {
    return {
      level: 'caution',
      short: 'Outputs not comparable',
      finding,
      advice: 'Do not use the model before you know why its outputs are not finite.',
    };
  }
  if (report.settings['reinit'] === true) {
    return {
      level: 'caution',
      short: 'Runs; untrained',
      finding,
      advice: 'Train the model before using it: its weights were drawn afresh.',
    };
  }
  if (verify.relativeDiff <= SAME_OUTPUTS) {
    return {
      level: 'good',
      short: 'Same outputs',
      finding,
      advice: 'The model can stand in for the original.',
    };
  }
  return {
    level: 'caution',
    short: 'Runs; outputs changed',
    finding,
    advice: 'Measure its accuracy, and fine-tune it if that is too low.',
  };
}
