import { LowrankError } from '../errors.js';
import type { Model } from '../graph/model.js';
import { modelBytes } from '../graph/write.js';
import { endOfModel, hasClasses } from '../passes/classifier-end.js';
import { type Judge, openJudge } from './agreement.js';
import { copyForImages, type ImageContext, openImages } from '../factorize/calibration/open-images.js';
import type { Calibrate, CalibrationImages } from '../factorize/calibration/types.js';
import { slowMacs } from '../rewrite/count.js';

/** Images that were kept out of the fit, with what the original gives on them. */
export interface KeptOut {
  readonly judge: Judge;
  /** A model as bytes that take the images' batch. */
  bytesOf(model: Model): Uint8Array;
  close(): Promise<void>;
}

/** Images that are run through each model: fewer of large ones. */
const mostImages = (macs: number): number => (macs > slowMacs ? 64 : 256);

/** undefined, with a warning, where no image is kept out. Throws what `openImages` and the runtime throw. */
export async function openKeptOut(
  calibrate: Calibrate,
  context: ImageContext & { readonly macs: number },
  warnings: string[],
): Promise<KeptOut | undefined> {
  try {
    const { copy, shapes, images } = await openImages(calibrate, context, 'kept-out');
    const some = firstOf(images, mostImages(context.macs));
    try {
      const { driver, session, seed, signal, onImages } = context;
      const judge = await openJudge(modelBytes(copy), some, {
        end: hasClasses(copy, shapes) ? endOfModel(copy, shapes).kind : undefined,
        driver,
        session,
        seed,
        signal,
        onImages: (done, total) => onImages?.(done, total, 'the original'),
      });
      const isOpened = images.dims[0] !== 1;
      return {
        judge,
        bytesOf: (model) => modelBytes(copyForImages(model, isOpened)),
        close: () => images.close(),
      };
    } catch (error) {
      await images.close();
      throw error;
    }
  } catch (error) {
    if (!(error instanceof LowrankError) || error.code !== 'INPUT') throw error;
    warnings.push(`the agreement with the original was not measured: ${error.fact}`);
    return undefined;
  }
}

/** The first batches, of at most so many images and at least one batch. */
function firstOf(images: CalibrationImages, most: number): CalibrationImages {
  if (images.images <= most) return images;
  const batch = images.dims[0] ?? 1;
  const count = Math.max(batch, most - (most % batch));
  return {
    ...images,
    images: count,
    async *batches() {
      let done = 0;
      for await (const each of images.batches()) {
        yield each;
        done += each.size;
        if (done >= count) return;
      }
    },
  };
}
