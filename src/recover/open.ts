import type { Preparation } from '../contracts/images.js';
import { LowrankError } from '../errors.js';
import { checkedLimits, limitsOf } from '../limits.js';
import { type Target, targetOf } from '../lower/target.js';
import { requireSamples } from '../images/images.js';
import { calledSides, sizeFor } from '../images/sample-shape.js';
import { loadDriver } from '../runtime/driver.js';
import type { Driver, SessionOptions } from '../runtime/types.js';
import { buildEvalGraph } from '../step/eval-graph.js';
import { buildGradientGraph, type GradientGraph } from '../step/gradient-graph.js';
import { type PreparedMatching, prepareMatching } from '../step/prepare-matching.js';
import { buildUpdateGraph, type UpdateGraph } from '../step/update-graph.js';
import { trainSessionOptions } from '../training/options.js';
import { settleImages } from '../training/settle-images.js';
import { loadersFor, openRecoverImages, type RecoverImages, requireLabels } from './images.js';
import type { Loader } from '../data/loader.js';
import type { ImageSource } from '../data/types.js';
import type { AugmentName } from '../training/options.js';
import { type Held, holdOut, type Judge, openJudge } from './judge.js';
import type { RecoverOptions } from './recover.js';
import { requireSamePreparation } from '../images/same-preparation.js';
import { runsOnce, teachOnce, type TaughtOnce, withoutTeacher } from './taught.js';
import { augmentFor, fewImages, type RecoverSettings, type SettledRecover, usualSteps } from './settings.js';
import { requireOpening } from '../rewrite/check-opening.js';
import { countMacs } from '../rewrite/count.js';

/** What is to be closed, in the order in which it was opened. */
export type Closers = (() => unknown)[];

/** All that a recovery works with. */
export interface OpenedRecovery {
  readonly settings: SettledRecover;
  readonly batchNorm: 'frozen' | 'batch';
  readonly preparation: Preparation | undefined;
  readonly images: RecoverImages;
  readonly prepared: PreparedMatching;
  readonly target: Target;
  readonly driver: Driver;
  readonly session: SessionOptions;
  readonly gradient: GradientGraph;
  readonly update: UpdateGraph;
  readonly judge: Judge;
  readonly held: readonly Held[];
  /** Where the teacher ran once. */
  readonly taught: TaughtOnce | undefined;
  readonly loaders: ReturnType<typeof loadersFor>;
}

/** Opens pictures and models, emits the graphs, decodes what is kept out. Whoever calls it closes what `closers` then holds. */
export async function openRecovery(
  options: RecoverOptions,
  asked: RecoverSettings,
  closers: Closers,
): Promise<OpenedRecovery> {
  const { signal } = options;
  const settled = await settleImages(options, { ...asked, augment: asked.augment ?? 'none' });
  const told: RecoverSettings = { ...settled.settings, augment: asked.augment };
  const limits = limitsOf(checkedLimits(options));
  const images = await openRecoverImages(options, told);
  closers.push(() => images.close());
  const batchNorm = batchNormOf(told, images.training.length);
  const sized = sizeFor(told, images.training);
  const match = { ...told, batchNorm };
  const both = prepareMatching(options.model, options.teacher, {
    ...{ settings: told, match, limits, ...sized },
    inputs: told.inputs,
  });
  closers.push(() => both.model.file?.close());
  closers.push(() => both.teacher.model.file?.close());
  const driver = await loadDriver();
  const running = {
    driver,
    session: trainSessionOptions(told),
    imageDims: both.imageDims,
    inputs: told.inputs,
    signal,
  };
  for (const source of [options.model, options.teacher]) await requireOpening(source, running);
  requireSamePreparation(
    { path: options.model, metadata: both.model.metadata },
    { path: options.teacher, metadata: both.teacher.model.metadata },
    asked,
  );
  const takes = { imageDims: both.imageDims, layout: both.layout, inputName: both.images.name };
  for (const source of [images.training, images.heldOut]) requireSamples(source, images.training, takes);
  requireLabels(images, both.goal.classes);
  const isOnce = told.recoverBy !== 'blocks' && runsOnce(both, told, limits);
  const pictures = images.training.length + images.heldOut.length;
  const prepared = isOnce ? withoutTeacher(both, pictures, limits) : both;
  const { width, height } = calledSides(prepared.imageDims, prepared.layout);
  const macs = countMacs(prepared.model.graph, prepared.shapesFor(1));
  const settings = {
    ...told,
    augment: augmentOf(told, isOnce || images.training.arrays !== undefined, width, height),
    steps: told.steps ?? usualSteps(told, macs),
  };
  const target = await targetOf(settings.device === 'cpu' ? settings.target : 'cuda', driver, settings);
  const emit = { batch: settings.batchSize, passes: target.passes };
  const gradient = buildGradientGraph(
    ...([prepared, settings, { ...emit, isBatchOpen: false }, target.build, target.opsets] as const),
  );
  const update = buildUpdateGraph(prepared, settings);
  const evaluation = buildEvalGraph(prepared, { ...emit, isBatchOpen: true });
  const session = { ...trainSessionOptions(settings), limits };
  const loaders = loadersFor(prepared, settings);
  const asTheyAre = async <T>(source: ImageSource, read: (loader: Loader) => Promise<T>): Promise<T> => {
    const loader = loaders.heldOut(source, settings.batchSize);
    try {
      return await read(loader);
    } finally {
      await loader.close();
    }
  };
  const runs = { driver, session, signal };
  const held = await asTheyAre(images.heldOut, (loader) => holdOut(loader, prepared.imageDims, signal));
  const taught = isOnce
    ? await asTheyAre(images.training, (loader) => teachOnce(prepared, loader, held, runs))
    : undefined;
  const judge = await openJudge(evaluation, held, prepared.goal.classes !== null, runs, taught?.held);
  closers.push(() => judge.close());
  const { order } = images;
  const preparation =
    settled.preparation === undefined || order === undefined
      ? settled.preparation
      : { ...settled.preparation, classes: order };
  return {
    ...{ settings, batchNorm, preparation, images, prepared, target },
    ...{ driver, session, gradient, update, judge, held, taught, loaders },
  };
}

/** Throws USAGE where pictures are to be changed at random that the teacher saw once, as they were. */
function augmentOf({ augment }: RecoverSettings, isOnce: boolean, width: number, height: number): AugmentName {
  if (!isOnce) return augment ?? augmentFor(width, height);
  if (augment === null || augment === 'none') return 'none';
  throw new LowrankError(
    'USAGE',
    `the teacher runs once, over pictures as they are, and --augment ${augment} changes them`,
    {
      place: '--teacher-runs',
      remedy: 'leave --augment out, or give --teacher-runs always',
    },
  );
}

function batchNormOf({ batchNorm }: RecoverSettings, images: number): 'frozen' | 'batch' {
  if (batchNorm !== 'auto') return batchNorm;
  return images < fewImages ? 'frozen' : 'batch';
}

/** Throws NUMERIC where the models give no numbers to compare. */
export function requireFinite(loss: number, { model, teacher }: RecoverOptions): void {
  if (Number.isFinite(loss)) return;
  throw new LowrankError('NUMERIC', 'the outputs of the model or of its teacher are not finite', {
    place: `${model}; ${teacher}`,
    remedy: 'see what both give with lowrank eval, and how the images are normalized',
  });
}
