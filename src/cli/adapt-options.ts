import { adaptNames, adaptRanges, adaptSchemes, type AdaptSettings, usualTolerance } from '../adapt/settings.js';
import { given } from './training-options.js';

const group = 'Ranks that are found while training';

/** Options of `train` for ranks that are found while it trains. */
export const adaptOptions = {
  adaptRanks: {
    type: 'string',
    choices: adaptNames,
    group,
    description: 'find the rank of every low-rank layer by dynamical low-rank training (augmented is the one to take)',
  },
  tolerance: {
    ...adaptRanges.tolerance,
    group,
    placeholder: 'θ',
    description: `share of a layer's ‖σ‖₂ that a cut may take (default: ${usualTolerance})`,
  },
  targetParams: {
    ...adaptRanges.targetParams,
    group,
    placeholder: 'share',
    description: 'cut until this share of the full-rank parameters is left, by the middle of the training',
  },
  targetMacs: {
    ...adaptRanges.targetMacs,
    group,
    placeholder: 'share',
    description: 'cut until this share of the full-rank MACs is left',
  },
  coefficientSteps: {
    ...adaptRanges.coefficientSteps,
    group,
    placeholder: 'updates',
    description: 'updates between two changes of the bases, with augmented (default: 10)',
  },
  minRank: { ...adaptRanges.minRank, group, description: 'smallest rank that a cut leaves (default: 2)' },
  maxRank: { ...adaptRanges.maxRank, group, description: 'largest rank (default: half of what a layer can have)' },
  startRank: {
    ...adaptRanges.startRank,
    group,
    description: 'rank that layers in one piece begin with (default: as --max-rank)',
  },
  scheme: {
    type: 'string',
    choices: adaptSchemes,
    group,
    description: 'the matrix of convolutions in one piece (default: channel)',
  },
  include: {
    type: 'list',
    isVariadic: true,
    placeholder: 'glob',
    group,
    description: 'layers in one piece that are adapted (default: all)',
  },
  exclude: {
    type: 'list',
    isVariadic: true,
    placeholder: 'glob',
    group,
    description: 'layers in one piece that are not adapted',
  },
  keepFirst: { type: 'boolean', default: true, group, description: 'adapt the first layer too' },
  keepLast: { type: 'boolean', default: true, group, description: 'adapt the last layer too' },
} as const;

/** The settings of options that were given. */
export function givenAdaptSettings(settings: {
  readonly [Name in keyof AdaptSettings]: AdaptSettings[Name] | undefined;
}): Partial<AdaptSettings> {
  const list = (globs: readonly string[] | undefined): readonly string[] | undefined =>
    globs === undefined || globs.length === 0 ? undefined : globs;
  const { adaptRanks, tolerance, targetParams, targetMacs, coefficientSteps, minRank, maxRank, startRank } = settings;
  return given({
    ...{ adaptRanks: adaptRanks ?? undefined, tolerance: tolerance ?? undefined, coefficientSteps, minRank },
    ...{ maxRank: maxRank ?? undefined, startRank: startRank ?? undefined },
    ...{ targetParams: targetParams ?? undefined, targetMacs: targetMacs ?? undefined },
    scheme: settings.scheme,
    include: list(settings.include),
    exclude: list(settings.exclude),
    keepFirst: settings.keepFirst,
    keepLast: settings.keepLast,
  } satisfies Record<keyof AdaptSettings, unknown>);
}
