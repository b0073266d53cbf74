import type { ModelSummary } from '../contracts/convert.js';
import type { ImageSource } from '../data/types.js';
import { LowrankError } from '../errors.js';
import { fileSha256 } from '../files/hash.js';
import { drain } from '../files/pieces.js';
import { requireClasses } from '../images/images.js';
import { sizeFor } from '../images/sample-shape.js';
import { isOverLimit, type RunLimits } from '../limits.js';
import { requireMemory } from '../ops/memory.js';
import { checkOpening } from '../rewrite/check-opening.js';
import { summarize } from '../rewrite/prepare.js';
import type { Driver } from '../runtime/types.js';
import type { TrainedWeights } from '../step/export.js';
import { losses } from '../step/losses/index.js';
import { withNewHead } from '../step/new-head.js';
import { type Prepared, prepareTraining } from '../step/prepare.js';
import { type InsertedNormalization, insertNormalization } from './insert-normalization.js';
import { type TrainSettings, trainSessionOptions } from './options.js';
import { type Adaptation, coefficientsOnly, homeModel, openAdaptation } from './adaptation.js';
import { outOfMemory } from './out-of-memory.js';
import { pause } from './pause.js';
import type { Closers, SessionCall } from './session.js';
import type { SessionImages } from './session-images.js';

/** The model of a training, with what is changed of it in memory. */
export interface SessionModel {
  readonly prepared: Prepared;
  /** What trained weights are put into: a file, or its bytes with a new head. */
  readonly source: string | Uint8Array;
  /** What is trained: the source, or its bytes with inserted layers. */
  readonly trained: string | Uint8Array;
  /** Layers that are there while it is trained alone. */
  readonly inserted: readonly InsertedNormalization[] | undefined;
  /** Where the ranks of its layers are found. */
  readonly adaptation: Adaptation | undefined;
  readonly warnings: readonly string[];
}

/**
 * Reads the model and makes it ready for training. Throws what `prepareTraining` throws, INPUT, UNSUPPORTED where the images are
 * not for it, RUNTIME where a step needs more memory than it may, ABORTED.
 */
export async function openModel(
  options: SessionCall,
  settings: TrainSettings,
  { training, validation }: SessionImages,
  limits: RunLimits,
  driver: Driver,
  closers: Closers,
): Promise<SessionModel> {
  const head = settings.newHead
    ? withNewHead(options.model, training.classes.length, settings.seed, training.targets !== undefined)
    : undefined;
  const source = head?.bytes ?? options.model;
  const inserted = settings.insertBn ? insertNormalization(source, settings.freeze) : undefined;
  const plain = inserted?.bytes ?? source;
  const prepare = (from: string | Uint8Array, ownBatch: boolean | LowrankError): Prepared => {
    const result = prepareTraining(from, {
      settings,
      ...sizeFor(settings, training),
      inputs: settings.inputs,
      limits,
      ownBatch,
    });
    closers.push(() => result.model.file?.close());
    return result;
  };
  const mayBeOwn = inserted === undefined && settings.adaptRanks === null;
  const first = prepare(plain, mayBeOwn);
  const obstacle =
    first.ownBatch === undefined ? await checkOpened(plain, first, driver, settings, options) : undefined;
  if (obstacle !== undefined && !mayBeOwn) throw obstacle;
  const whole = obstacle === undefined ? first : prepare(plain, obstacle);
  const adaptation =
    settings.adaptRanks === null
      ? undefined
      : await openAdaptation(plain, whole, settings, driver, options.signal, closers);
  const trained = adaptation === undefined ? plain : homeModel(adaptation, settings);
  const prepared = adaptation === undefined ? whole : coefficientsOnly(prepare(trained, false), adaptation);
  await pause(options.signal);
  requireStepMemory(prepared, settings, limits);
  requireClasses(
    training,
    prepared.classes,
    settings.newHead
      ? 'report this: the new head should fit'
      : `list the model's classes with --classes, or replace its last layer with --new-head`,
  );
  for (const images of [training, ...(validation === undefined ? [] : [validation])])
    requireLoss(prepared, options.model, images);
  return {
    prepared,
    source,
    trained,
    inserted: inserted?.layers,
    adaptation,
    warnings: [...(head?.warnings ?? []), ...prepared.warnings],
  };
}

/** Why a batch that was opened is not to be trusted; undefined where it is. */
function checkOpened(
  source: string | Uint8Array,
  { imageDims }: Prepared,
  driver: Driver,
  settings: TrainSettings,
  { signal }: SessionCall,
): Promise<LowrankError | undefined> {
  return checkOpening(source, {
    ...{ driver, session: trainSessionOptions(settings), imageDims },
    ...{ inputs: settings.inputs, signal },
  });
}

/** Throws RUNTIME (`isOutOfMemory`) where the forward graph alone needs more memory than it may. On a GPU its arena says so. */
function requireStepMemory(
  { model, shapesFor }: Prepared,
  { device, batchSize }: TrainSettings,
  { memory }: RunLimits,
): void {
  if (device !== 'cpu') return;
  try {
    requireMemory(model.graph, shapesFor(batchSize), memory);
  } catch (error) {
    throw isOverLimit(error) ? outOfMemory(error) : error;
  }
}

/**
 * Throws UNSUPPORTED where the images have one class each and the model tells classes one by one (a Sigmoid), or the other way
 * round.
 */
function requireLoss({ loss }: Prepared, path: string, { path: data, targets }: ImageSource): void {
  if ((losses[loss].classes === 'one') === (targets === undefined)) return;
  if (targets !== undefined) {
    throw new LowrankError('UNSUPPORTED', 'the images have several classes each, and the model tells one', {
      place: `${data}; ${path} does not end in a Sigmoid`,
      remedy: 'train a new head for them with --new-head',
    });
  }
  throw new LowrankError('UNSUPPORTED', 'the model ends in a Sigmoid, for images of several classes each', {
    place: `${path}; the images of ${data} have one class each`,
    remedy: 'train a new head for them with --new-head; or give labels that are 0 or 1 for every class',
  });
}

/** What reports say of the model that training began with; where it was changed in memory, with the hash of its file. */
export function summaryOfModel({ prepared, trained }: SessionModel, path: string): ModelSummary {
  const summary = summarize(prepared.model, prepared.shapesFor(1), path);
  return trained === path ? summary : { ...summary, sha256: drain(fileSha256(path)) };
}

/** Where each trained tensor lies in the flat vectors. */
export function slotsOf({
  parameters,
  statistics,
}: Prepared): Pick<TrainedWeights, 'parameterSlots' | 'statisticSlots'> {
  return { parameterSlots: parameters, statisticSlots: statistics };
}
