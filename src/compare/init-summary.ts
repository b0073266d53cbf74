import type { LowrankError } from '../errors.js';
import { inits as registry } from '../factorize/inits/index.js';
import type { InitName } from '../factorize/types.js';
import type { ComparedAccuracy, ComparedInit, ComparedRecovery } from '../contracts/compare.js';
import type { JudgedFit } from './fit-init.js';

/** What is kept of a fit once it was judged. */
export type LayerFit = Pick<
  JudgedFit,
  'candidate' | 'weightError' | 'functionError' | 'dataError' | 'dataFunctionError' | 'seconds'
>;

/** What came of one initialization. */
export interface Outcome {
  readonly failure: LowrankError | null;
  readonly fits: readonly LayerFit[];
  /** Of fitting all layers. */
  readonly seconds: number;
  readonly accuracy?: ComparedAccuracy;
  readonly versusFirst?: ComparedInit['versusFirst'];
  /** undefined where none was asked for. */
  readonly recovery?: ComparedRecovery | null;
  readonly warnings: readonly string[];
}

/** Function errors that differ by less than this part count as equal. */
const tie = 1e-6;

/** One line an initialization: means over the layers, and in how many layers nothing is lower. */
export function summarizeInits(
  compared: readonly { readonly init: InitName; readonly outcome: Outcome }[],
): ComparedInit[] {
  const lowest = new Map<unknown, number>();
  for (const { outcome } of compared) {
    for (const { candidate, functionError } of outcome.fits) {
      lowest.set(candidate, Math.min(lowest.get(candidate) ?? Infinity, functionError));
    }
  }
  return compared.map(({ init, outcome }): ComparedInit => {
    const { failure, fits, seconds, accuracy = null, versusFirst = null } = outcome;
    const onImages = (key: 'dataError' | 'dataFunctionError'): Partial<ComparedInit> => {
      const errors = fits.flatMap((fit) => (fit[key] === undefined ? [] : [fit[key]]));
      return errors.length === 0 ? {} : { [key]: mean(errors) };
    };
    return {
      name: init,
      summary: registry[init].summary,
      failure: failure?.message ?? null,
      weightError: mean(fits.map(({ weightError }) => weightError)),
      functionError: mean(fits.map(({ functionError }) => functionError)),
      ...onImages('dataError'),
      ...onImages('dataFunctionError'),
      lowestIn: fits.filter(({ candidate, functionError }) => functionError <= lowest.get(candidate)! * (1 + tie))
        .length,
      seconds,
      accuracy,
      versusFirst,
      ...(outcome.recovery === undefined ? {} : { recovery: outcome.recovery }),
    };
  });
}

/** Of the finite values; null where there are none. */
function mean(values: readonly number[]): number | null {
  const finite = values.filter(Number.isFinite);
  return finite.length === 0 ? null : finite.reduce((sum, value) => sum + value, 0) / finite.length;
}
