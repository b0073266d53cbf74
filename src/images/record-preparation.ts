import { recordImageFacts } from '../graph/image-facts.js';
import type { Model } from '../graph/model.js';
import type { Preparation } from '../contracts/images.js';

/** Writes into the model's metadata what is known of its images: what was only assumed is not. */
export function recordPreparation(model: Model, { normalization, size, resize }: Preparation): void {
  const { name, mean, deviation, from } = normalization;
  const isInferred = from === 'batch-normalization';
  recordImageFacts(model, {
    ...(from === 'assumed' ? {} : { normalization: name ?? { mean, deviation }, isInferred }),
    ...(size.from === 'assumed' || size.width !== size.height ? {} : { imageSize: size.width }),
    ...(resize.from === 'assumed'
      ? {}
      : { resize: resize.shorterSide ?? 'stretch', interpolation: resize.interpolation }),
  });
}
