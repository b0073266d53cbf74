import { LowrankError } from '../errors.js';
import { matchNames } from '../step/match-points.js';
import { matchRanges } from '../step/match-settings.js';
import { flagOf, type SettingsOf } from './options.js';
import { given } from './training-options.js';

const group = 'Teacher';

/** How a teacher is followed: the same options in `train` and `artifacts`. */
export const matchOptions = {
  teacher: {
    type: 'string',
    group,
    placeholder: 'model.onnx',
    description: 'the original model, which the trained one is made to compute again: pictures need no labels',
  },
  match: {
    type: 'string',
    choices: matchNames,
    group,
    description: "what is made the teacher's: outputs, features before the last pool too, layers too (default: auto)",
  },
  matchTensors: {
    type: 'list',
    isVariadic: true,
    placeholder: 'glob',
    group,
    description: 'values of both models that are matched beside the outputs, in place of those of --match',
  },
  temperature: {
    ...matchRanges.temperature,
    group,
    description: 'what logits are divided by before they are compared (default: 1)',
  },
  labelWeight: {
    ...matchRanges.labelWeight,
    group,
    description: 'weight of the loss of labels beside that of the teacher (default: 0, no labels are read)',
  },
} as const;

/** What `matchOptions` were given, as settings. */
export function givenMatchSettings(settings: SettingsOf<typeof matchOptions>) {
  const { match, matchTensors, temperature, labelWeight } = settings;
  return given({
    ...{ match, temperature, labelWeight },
    matchTensors: matchTensors.length > 0 ? matchTensors : undefined,
  });
}

/** Throws USAGE for one of `options` that is given, where there is no teacher. */
export function refuseWithoutTeacher(names: ReadonlySet<string>, options: readonly string[]): void {
  const orphan = options.find((name) => name !== 'teacher' && names.has(name));
  if (orphan !== undefined) throw withoutTeacher(flagOf(orphan));
}

export function withoutTeacher(flag: string): LowrankError {
  return new LowrankError('USAGE', `${flag} does nothing without --teacher`, {
    remedy: 'give the original model with --teacher, or leave it out',
  });
}
