import { LowrankError } from '../errors.js';
import type { Calibrate } from '../factorize/calibration/types.js';
import { initNames, inits as registry, requireImages } from '../factorize/inits/index.js';
import type { ConvertOptions } from '../convert/options.js';
import type { InitName } from '../factorize/types.js';
import type { Kept } from '../contracts/convert.js';
import type { RecoverOptions } from '../recover/recover.js';
import type { EvalSettings } from '../evaluate/eval-settings.js';

/** Labelled images on which the converted models are run. */
export interface ValidationOptions {
  /** What `openSource` opens. */
  readonly data: string;
  /** File of the classes in the order of the model's outputs. */
  readonly classes?: string | undefined;
  readonly settings?: Partial<Omit<EvalSettings, 'seed' | 'device' | 'threads'>>;
}

/** Pictures without labels on which every converted model is trained towards the original. */
export type RecoverTrial = Pick<RecoverOptions, 'data' | 'settings'>;

/** Options of `compare`: the ranks, layers and seed as in `convert`, which would give every initialization these ranks. */
export interface CompareOptions extends Omit<
  ConvertOptions,
  'init' | 'accuracyBudget' | 'verify' | 'measureLatency' | 'force'
> {
  /** Default: all that there is everything for, but those that take minutes. Differences of top-1 are against the first. */
  readonly inits?: readonly InitName[];
  /** Images without labels: initializations that need them fit to them, and the error of every one on them is measured. */
  readonly calibrate?: Calibrate | undefined;
  readonly validation?: ValidationOptions | undefined;
  readonly recover?: RecoverTrial | undefined;
}

/** Initializations to compare, each once, and those that are left out unless they are named. */
export interface ChosenInits {
  readonly inits: readonly InitName[];
  readonly leftOut: readonly Kept[];
}

/**
 * Throws USAGE for names that are none, for an empty list, and for initializations that need calibration images where there
 * are none.
 */
export function chooseInits(wanted: readonly string[] | undefined, hasImages: boolean): ChosenInits {
  if (wanted === undefined) return defaultInits(hasImages);
  const inits = [...new Set(wanted)].map((name) => {
    const known = initNames.find((each) => each === name);
    if (known === undefined) {
      throw new LowrankError('USAGE', `there is no initialization '${name}'`, {
        remedy: `choose from ${initNames.join(', ')}`,
      });
    }
    requireImages(known, hasImages);
    return known;
  });
  if (inits.length > 0) return { inits, leftOut: [] };
  throw new LowrankError('USAGE', 'no initialization is left to compare', {
    remedy: `name some of ${initNames.join(', ')}`,
  });
}

function defaultInits(hasImages: boolean): ChosenInits {
  const reasonToLeaveOut = (name: InitName): string | undefined => {
    const { isSampled, needs } = registry[name];
    if (isSampled === true) return 'it draws samples, which takes minutes: name it in --inits';
    return needs !== undefined && !hasImages ? 'it needs images: give --data' : undefined;
  };
  return {
    inits: initNames.filter((name) => reasonToLeaveOut(name) === undefined),
    leftOut: initNames.flatMap((name) => {
      const reason = reasonToLeaveOut(name);
      return reason === undefined ? [] : [{ name, reason }];
    }),
  };
}
