import { imageHints } from './image-metadata.js';
import { recordImageFacts } from '../graph/image-facts.js';
import type { Model } from '../graph/model.js';
import type { FactOrigin, Preparation } from '../contracts/images.js';

/** Writes into the model's metadata what is known of its images: what was only assumed is not. */
export function recordPreparation(model: Model, { normalization, size, resize, arrays }: Preparation): void {
  const { name, mean, deviation, from } = normalization;
  const isInferred = from === 'batch-normalization';
  // What the file says of arrays stays said of them.
  const ofArrays = arrays?.type ?? (from === 'metadata' ? imageHints(model.metadata).arrays : undefined);
  recordImageFacts(model, {
    ...(isUnsaid(normalization)
      ? {}
      : {
          normalization: name ?? { mean, deviation },
          isInferred,
          ...(ofArrays === undefined ? {} : { arrays: ofArrays }),
        }),
    ...(isUnsaid(size) || size.width !== size.height ? {} : { imageSize: size.width }),
    ...(isUnsaid(resize) ? {} : { resize: resize.shorterSide ?? 'stretch', interpolation: resize.interpolation }),
  });
}

/** Whether nobody says it: it is only assumed, or arrays are fed as they are. */
function isUnsaid({ from }: { readonly from: FactOrigin }): boolean {
  return from === 'assumed' || from === 'arrays';
}
