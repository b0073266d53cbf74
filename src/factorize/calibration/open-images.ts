import { LowrankError } from '../../errors.js';
import type { Model } from '../../graph/model.js';
import { readModel } from '../../graph/read.js';
import { modelBytes } from '../../graph/write.js';
import { inferShapes, type ShapeTable } from '../../ops/infer.js';
import { requireMemory } from '../../ops/memory.js';
import { checkOpening, fixedImages } from '../../rewrite/check-opening.js';
import { openBatch, redeclare } from '../../passes/open-batch.js';
import type { Driver, SessionOptions } from '../../runtime/types.js';
import type { Calibrate, CalibrationImages } from './types.js';

/** What it takes to run calibration images through a model. */
export interface ImageContext {
  /** Of the file that is converted, for messages. */
  readonly path: string;
  readonly model: Model;
  readonly driver: Driver;
  readonly session: SessionOptions;
  readonly seed: number;
  /** Counts runs of images. */
  readonly onImages?: (done: number, total: number, detail: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/** Images of one run where the batch can be opened. */
const largestBatch = 16;

/** A copy of the model that takes as many images a run as it can, with its shapes at that many, and the images. */
export interface OpenedImages {
  readonly copy: Model;
  readonly shapes: ShapeTable;
  readonly images: CalibrationImages;
}

/** Throws what `calibrate` throws. The caller closes the images. */
export async function openImages(
  calibrate: Calibrate,
  context: ImageContext,
  part?: 'fit' | 'kept-out',
): Promise<OpenedImages> {
  const { path, driver, session, signal } = context;
  const canOpen = await mayBeOpened(context);
  for (const batch of canOpen ? [largestBatch, 1] : [1]) {
    const copy = copyForImages(context.model, batch > 1);
    const images = await calibrate(copy, batch, {
      path,
      driver,
      session,
      signal,
      ...(part === undefined ? {} : { part }),
    });
    let shapes: ShapeTable | undefined;
    try {
      shapes = shapesAt(copy, images, batch === 1, session.limits?.memory);
      if (shapes !== undefined) return { copy, shapes, images };
    } finally {
      if (shapes === undefined) await images.close();
    }
  }
  throw new LowrankError('INTERNAL', 'a model that takes no single image');
}

const openings = new WeakMap<Model, Promise<boolean>>();

/** Whether opening the batch of a model was seen to change nothing, or is not needed: looked at once. */
async function mayBeOpened({ model, driver, session, signal }: ImageContext): Promise<boolean> {
  if (fixedImages(model) === undefined) return true;
  const known =
    openings.get(model) ??
    checkOpening(modelBytes(model), { driver, session, signal }).then((obstacle) => obstacle === undefined);
  openings.set(model, known);
  return known;
}

/** A copy of a model for images of another batch than the one that it declares, where that is opened. */
export function copyForImages(model: Model, isBatchOpened: boolean): Model {
  const copy = readModel(modelBytes(model));
  const input = copy.graph.inputs.find((value) => value.tensor === undefined);
  if (isBatchOpened && input !== undefined) openBatch(copy, input);
  redeclare(copy, input);
  return copy;
}

/** undefined where the model does not take so many images, or they take more than `memory`. */
function shapesAt(
  model: Model,
  images: CalibrationImages,
  isLast: boolean,
  memory: number | undefined,
): ShapeTable | undefined {
  try {
    const shapes = inferShapes(model, { inputShapes: { [images.input]: images.dims } });
    requireMemory(model.graph, shapes, memory);
    return shapes;
  } catch (error) {
    const isOfSize = error instanceof LowrankError && (error.code === 'SHAPE' || error.code === 'RUNTIME');
    if (!isLast && isOfSize) return undefined;
    throw error;
  }
}
