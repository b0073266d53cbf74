import { LowrankError } from '../errors.js';
import type { Normalization } from '../data/normalize.js';
import { imageHints, isSameNormalization, normalizationName } from './image-metadata.js';
import type { ImageSettings } from './image-settings.js';

/** A model that is open, and its file. */
export interface SayingModel {
  readonly path: string;
  readonly metadata: ReadonlyMap<string, string>;
}

/**
 * Throws USAGE where the files of a model and its teacher say how pictures are normalized, differently: one of the two then has it
 * inside, or takes other pictures, and would be fed what it was not made for. A normalization that is given is taken for both.
 */
export function requireSamePreparation(
  model: SayingModel,
  teacher: SayingModel,
  settings: Pick<ImageSettings, 'normalization' | 'mean' | 'std'>,
): void {
  const { normalization, mean, std } = settings;
  if (normalization !== null || mean !== null || std !== null) return;
  const [own, other] = [model, teacher].map(({ metadata }) => imageHints(metadata).normalization);
  if (own === undefined || other === undefined || isSameNormalization(own, other)) return;
  throw new LowrankError('USAGE', 'the files say that the model and its teacher take pictures normalized differently', {
    place: `${model.path}: ${describe(own)}; ${teacher.path}: ${describe(other)}`,
    remedy: 'give the model that it was converted from as --teacher, or say with --normalization what both take',
  });
}

function describe(normalization: Normalization): string {
  const { mean, deviation } = normalization;
  return normalizationName(normalization) ?? `mean ${mean.join(' ')}, deviation ${deviation.join(' ')}`;
}
