import type { CheckpointIdentity } from '../contracts/checkpoint.js';
import { LowrankError } from '../errors.js';
import { defaultTrainSettings } from './options.js';
import { type Conflict, imagesConflict } from './same-images.js';

/** How strictly a training is compared with what its checkpoint says. */
export interface Comparison {
  /** See `TrainOptions.strict`. */
  readonly isStrict?: boolean | undefined;
  /** Whether something of `CheckpointIdentity.settings` may differ: then it is told, not refused. Default: nothing may. */
  readonly mayDiffer?: ((key: string) => boolean) | undefined;
}

/** A setting, or a fact, that is another than the checkpoint's. */
export interface Difference {
  readonly key: string;
  readonly was: unknown;
  readonly is: unknown;
}

/** What is not a setting, and how it is called. */
const images: Readonly<Record<string, string>> = { images: 'images', validation: 'validation images' };

/**
 * What differs from the checkpoint at `place` and may. Throws USAGE with everything that differs and may not: the model,
 * settings, images and the machine.
 */
export function requireSameTraining(
  place: string,
  found: CheckpointIdentity,
  expected: CheckpointIdentity,
  { isStrict, mayDiffer = () => false }: Comparison,
): readonly Difference[] {
  const differences = differencesOf(found, expected);
  const refused = differences.filter(({ key }) => !mayDiffer(key));
  const model: Conflict = {
    fact: 'the checkpoint is of another model',
    ways: ['give the model that the training began with', 'train without --resume'],
    canBeginAnew: false,
  };
  // What they are called is not the same: what is in them needs no word.
  const areOthers = refused.some(({ key }) => key === 'images');
  const ofImages = areOthers ? undefined : imagesConflict(found.images, expected.images, isStrict);
  const conflicts = [
    ...(found.model === expected.model ? [] : [model]),
    ...(refused.length === 0 ? [] : [conflictOf(refused)]),
    ...(ofImages === undefined ? [] : [ofImages]),
  ];
  if (conflicts.length === 0) return differences;
  const ways = new Set(conflicts.flatMap((each) => each.ways));
  if (conflicts.some(({ canBeginAnew }) => canBeginAnew !== false)) ways.add('begin anew from its model.onnx');
  throw new LowrankError('USAGE', conflicts.map(({ fact }) => fact).join('; '), {
    place,
    remedy: [...ways].join(', or '),
  });
}

function differencesOf(found: CheckpointIdentity, expected: CheckpointIdentity): readonly Difference[] {
  // What an earlier version did not know had its default.
  const before: Readonly<Record<string, unknown>> = {
    ...expected.settings,
    ...defaultTrainSettings,
    ...found.settings,
  };
  return Object.entries(expected.settings)
    .map(([key, is]) => ({ key, was: before[key], is }))
    .filter(({ was, is }) => JSON.stringify(was) !== JSON.stringify(is));
}

function conflictOf(refused: readonly Difference[]): Conflict {
  const isSetting = ({ key }: Difference): boolean => Object.hasOwn(defaultTrainSettings, key) || key === 'preset';
  const isImages = ({ key }: Difference): boolean => Object.hasOwn(images, key);
  const ways = [
    ...(refused.some(isSetting)
      ? ['leave out what was given otherwise, which --resume takes from the checkpoint']
      : []),
    ...(refused.some(isImages) ? ['give the images that the training began with'] : []),
    ...(refused.some((each) => !isSetting(each) && !isImages(each))
      ? ['go on where it began', 'name the --device to go on here, no longer bit for bit']
      : []),
  ];
  return { fact: `the checkpoint was trained with ${refused.map(differenceText).join(', with ')}`, ways };
}

/** "lr 0.1, not 0.2": what it was, and what it is. */
function differenceText({ key, was, is }: Difference): string {
  const name = images[key];
  return name === undefined
    ? `${key} ${shown(was)}, not ${shown(is)}`
    : `${name} ${String(was ?? 'none')}, not ${String(is ?? 'none')}`;
}

/** "lr 0.2, not 0.1": what it is now. */
export function changeText({ key, was, is }: Difference): string {
  return differenceText({ key, was: is, is: was });
}

function shown(value: unknown): string {
  return value === null || value === undefined ? 'none' : JSON.stringify(value);
}
