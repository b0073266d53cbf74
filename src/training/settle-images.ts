import { inWordsOfCaller, LowrankError, throwIfAborted } from '../errors.js';
import { arraysIn } from '../data/open.js';
import { limitsOf } from '../limits.js';
import type { Preparation } from '../contracts/images.js';
import { preparationText } from '../report/preparation-text.js';
import { loadDriver } from '../runtime/driver.js';
import { sessionOptionsOf } from '../runtime/threads.js';
import type { ImageSettings } from '../images/image-settings.js';
import type { AugmentSettings, TrainOptions, TrainSettings } from './options.js';
import { transformsOf } from './transforms.js';
import { prepareFile } from '../images/preparation.js';
import type { TrainingSession } from './session.js';

/** The settings of a training in which it stands how images become inputs, and who says so. */
export interface SettledImages<Settings = TrainSettings> {
  readonly settings: Settings;
  /** undefined where the model takes no images, which the training says. */
  readonly preparation: Preparation | undefined;
}

/**
 * How images become inputs of a model file; undefined where they do not, or something is wrong with it, which whoever uses the
 * model says. Throws USAGE, INPUT, UNSUPPORTED where arrays do not fit the model, ABORTED.
 */
export async function preparationIfAny(
  path: string,
  settings: ImageSettings,
  options: Pick<TrainOptions, 'maxMemory' | 'signal'> & {
    readonly threads: number | null;
    /** The images: where they are arrays, it is how these become inputs. */
    readonly data?: string | undefined;
  },
): Promise<Preparation | undefined> {
  const { maxMemory, threads, signal, data } = options;
  const arrays = data === undefined ? undefined : arraysIn(data, 'train');
  try {
    const limits = limitsOf({ maxMemory });
    const session = { ...sessionOptionsOf({ device: 'cpu', threads }), limits };
    return (await prepareFile(path, settings, { driver: await loadDriver(), session, arrays, signal })).report;
  } catch (error) {
    throwIfAborted(signal);
    const isOfArrays =
      error instanceof LowrankError && arrays !== undefined && ['USAGE', 'INPUT', 'UNSUPPORTED'].includes(error.code);
    if (error instanceof LowrankError && error.code !== 'INTERNAL' && !isOfArrays) return undefined;
    throw error;
  }
}

/**
 * Fills in what the settings do not say of the images and the model does. What nobody says stays as it is, and what is wrong with
 * the model is said by the training. Throws ABORTED.
 */
export async function settleImages<Settings extends AugmentSettings & ImageSettings & Pick<TrainSettings, 'threads'>>(
  options: Pick<TrainOptions, 'model' | 'maxMemory' | 'signal'> & { readonly data?: string | undefined },
  settings: Settings,
): Promise<SettledImages<Settings>> {
  const { model, maxMemory, signal, data } = options;
  const found = await preparationIfAny(model, settings, { maxMemory, threads: settings.threads, signal, data });
  if (found === undefined) return { settings, preparation: undefined };
  const { normalization, size, resize, arrays } = found;
  const { name, mean, deviation, from } = normalization;
  const named = name === null ? { mean, std: deviation } : { normalization: name };
  const told: Settings = {
    ...settings,
    ...(from === 'option' ? {} : named),
    ...(size.from === 'metadata' ? { imageSize: Math.min(size.width, size.height) } : {}),
    ...(resize.from === 'metadata'
      ? { resize: resize.shorterSide, stretch: resize.rule === 'stretch', interpolation: resize.interpolation }
      : {}),
  };
  if (arrays !== undefined) return { settings: told, preparation: found };
  const { val } = transformsOf(told, size.width, size.height);
  const shorterSide = val.kind === 'stretch' ? null : val.resize;
  return { settings: told, preparation: { ...found, resize: { ...resize, rule: val.kind, shorterSide } } };
}

/** The line that says how images become inputs, and the same for the report. */
export function announceImages(
  settled: SettledImages<unknown>,
  run: Pick<TrainingSession, 'classOrder'>,
  { progress }: TrainOptions,
): { readonly preparation?: Preparation } {
  const preparation = preparationOf(settled, run);
  if (preparation === undefined) return {};
  progress?.note(inWordsOfCaller(`images: ${preparationText(preparation)}`));
  return { preparation };
}

/** With the order of the classes, which is known once the images are open. */
export function preparationOf(
  { preparation }: SettledImages<unknown>,
  { classOrder }: Pick<TrainingSession, 'classOrder'>,
): Preparation | undefined {
  return preparation === undefined ? undefined : { ...preparation, classes: classOrder };
}
