import { LowrankError } from '../errors.js';
import { count, type NumberOf, type Range } from '../range.js';

/** Ways to find ranks while a model is trained (docs/rank-adaptive.md). */
export const adaptNames = ['augmented', 'parallel', 'kls', 'kls-fixed'] as const;
export type AdaptName = (typeof adaptNames)[number];

export const adaptSchemes = ['channel', 'spatial'] as const;

/** How the ranks of a model's layers are found while it is trained. */
export interface AdaptSettings {
  /** null: every layer keeps its form. */
  readonly adaptRanks: AdaptName | null;
  /** θ: what a cut may take of a layer's ‖σ‖₂. null: what is usual, or what the target asks for. */
  readonly tolerance: number | null;
  /** `augmented`: updates of the coefficients between two looks at where the bases should go. */
  readonly coefficientSteps: number;
  readonly minRank: number;
  /** null: half of what a layer's matrix could have. */
  readonly maxRank: number | null;
  /** What layers begin with where the model has no low-rank ones; null: as `maxRank`. */
  readonly startRank: number | null;
  /** What the model is to have at the end, of its parameters or MACs with every layer in one piece; null: the tolerance decides. */
  readonly targetParams: number | null;
  readonly targetMacs: number | null;
  /** Of layers that begin in one piece: the matrix of convolutions, and which are left as they are. */
  readonly scheme: (typeof adaptSchemes)[number];
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  readonly keepFirst: boolean;
  readonly keepLast: boolean;
}

export const defaultAdaptSettings: AdaptSettings = {
  adaptRanks: null,
  tolerance: null,
  coefficientSteps: 10,
  minRank: 2,
  maxRank: null,
  startRank: null,
  targetParams: null,
  targetMacs: null,
  scheme: 'channel',
  include: [],
  exclude: [],
  keepFirst: true,
  keepLast: true,
};

/** The tolerance where neither it nor a target is given. */
export const usualTolerance = 0.05;

const inside = { type: 'number', above: 0, below: 1 } as const;

export const adaptRanges = {
  tolerance: inside,
  coefficientSteps: count,
  minRank: count,
  maxRank: count,
  startRank: count,
  targetParams: inside,
  targetMacs: inside,
} as const satisfies Record<NumberOf<AdaptSettings>, Range>;

/** Options of ranks as commands know them. */
const flags: readonly (readonly [keyof AdaptSettings, string])[] = [
  ['tolerance', '--tolerance'],
  ['coefficientSteps', '--coefficient-steps'],
  ['minRank', '--min-rank'],
  ['maxRank', '--max-rank'],
  ['startRank', '--start-rank'],
  ['targetParams', '--target-params'],
  ['targetMacs', '--target-macs'],
  ['scheme', '--scheme'],
  ['include', '--include'],
  ['exclude', '--exclude'],
  ['keepFirst', '--no-keep-first'],
  ['keepLast', '--no-keep-last'],
];

/** What of a training goes with ranks that are found. */
interface Others {
  readonly insertBn: boolean;
  readonly frobeniusDecay: number;
}

/** Throws USAGE for settings that do not go together. */
export function checkAdaptSettings(settings: AdaptSettings & Others): void {
  const { adaptRanks, tolerance, targetParams, targetMacs, minRank, maxRank, startRank } = settings;
  const refuse = (fact: string, place: string, remedy: string): never => {
    throw new LowrankError('USAGE', fact, { place, remedy });
  };
  if (adaptRanks === null) {
    for (const [name, flag] of flags) {
      if (String(settings[name]) === String(defaultAdaptSettings[name])) continue;
      refuse('it says how ranks are found, and none are', flag, 'give --adapt-ranks too, or leave it out');
    }
    return;
  }
  if (targetParams !== null && targetMacs !== null) {
    refuse('a model is cut to one size', '--target-params, --target-macs', 'give one of them');
  }
  const target = targetParams === null ? '--target-macs' : '--target-params';
  if (tolerance !== null && (targetParams ?? targetMacs) !== null) {
    refuse('the tolerance is what reaches the target', `--tolerance, ${target}`, 'give one of them');
  }
  if (adaptRanks === 'kls-fixed' && (tolerance ?? targetParams ?? targetMacs) !== null) {
    refuse('ranks that are fixed are not cut', '--adapt-ranks kls-fixed', 'leave --tolerance and the targets out');
  }
  if (maxRank !== null && maxRank < minRank) {
    refuse(`the largest rank, ${maxRank}, is below the smallest, ${minRank}`, '--max-rank', 'lower --min-rank');
  }
  if (maxRank !== null && startRank !== null && startRank > maxRank) {
    refuse(`the start, ${startRank}, is above the largest rank, ${maxRank}`, '--start-rank', 'raise --max-rank');
  }
  if (settings.insertBn) {
    refuse('layers are not inserted where ranks are found', '--insert-bn', 'leave it out');
  }
  if (settings.frobeniusDecay > 0) {
    refuse(
      'the bases are orthonormal: to decay the product is to decay the coefficients',
      '--frobenius-decay',
      'give it as --weight-decay',
    );
  }
}
