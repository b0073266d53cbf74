import { areUsualChannels } from '../channels.js';
import { LowrankError, throwIfAborted } from '../errors.js';
import { pictureDrawer } from '../data/dead-leaves.js';
import { namedNormalizations, NORMALIZATIONS, type Normalization, normalizationFor } from '../data/normalize.js';
import type { CalibrateContext } from '../factorize/calibration/types.js';
import type { Model } from '../graph/model.js';
import { withinLimits } from '../limits.js';
import type { NormalizationOrigin } from '../contracts/images.js';
import { imageHints, normalizationName } from './image-metadata.js';
import type { ImageInput } from './image-input.js';
import { usualNormalization } from './images.js';
import { rangeOfInput } from './input-scaling.js';
import { observeNormalizationInputs } from './normalization-inputs.js';
import { pictureFeed } from './synthetic-batches.js';

/** How the images of a model are normalized, and who says so. */
export interface FoundNormalization {
  readonly normalization: Normalization;
  /** null where it has no name. */
  readonly name: string | null;
  readonly from: NormalizationOrigin;
}

/**
 * How a model was trained to see images: what its metadata say; else what its first operators or the type of its input tell;
 * else, of colors, of grey and of what is drawn, the one of NORMALIZATIONS with which drawn pictures look to its BatchNormalizations most like what they were trained
 * on, where it stands out; else the usual one, also where running the model fails, or takes more than it may. Throws
 * ABORTED.
 */
export async function findNormalization(
  model: Model,
  input: ImageInput,
  context: Pick<CalibrateContext, 'driver' | 'session' | 'signal'> & { readonly isDrawn?: boolean },
): Promise<FoundNormalization> {
  const { channels } = input;
  const { isDrawn = false } = context;
  const fitted = (normalization: Normalization | undefined): Normalization | undefined => {
    const own = normalization === undefined ? undefined : normalizationFor(normalization, channels);
    return isDrawn || own?.mean.length === channels ? own : undefined;
  };
  if (input.type === 'uint8') return found(fitted(NORMALIZATIONS.none)!, 'graph');
  const hints = imageHints(model.metadata);
  const normalization = fitted(hints.normalization);
  if (normalization !== undefined) return found(normalization, hints.isInferred ? 'batch-normalization' : 'metadata');
  const range = fitted(rangeOfInput(model.graph, model.graph.value(input.name)!));
  if (range !== undefined) return found(range, 'graph');
  // Drawn pictures are none of whatever bands a picture has.
  if (!isDrawn && !areUsualChannels(channels)) return found(usualNormalization(channels), 'assumed');
  const [best, next] = await distancesWithin(model, input, context);
  if (best !== undefined && next !== undefined && best.distance * clearly < next.distance) {
    return found(best.normalization, 'batch-normalization');
  }
  return found(usualNormalization(channels), 'assumed');
}

function found(normalization: Normalization, from: NormalizationOrigin): FoundNormalization {
  return { normalization, name: normalizationName(normalization), from };
}

/** `distances`, none where the runs fail or take more than they may: whoever runs the model for more says why. */
async function distancesWithin(
  model: Model,
  input: ImageInput,
  { driver, session, signal }: Pick<CalibrateContext, 'driver' | 'session' | 'signal'>,
): Promise<readonly NormalizationDistance[]> {
  try {
    const subject = 'running the model to find its normalization';
    return await withinLimits(subject, session.limits, signal, (within) =>
      distances(model, input, { driver, session, signal: within }),
    );
  } catch (error) {
    throwIfAborted(signal);
    if (error instanceof LowrankError && error.code !== 'INTERNAL') return [];
    throw error;
  }
}

/** The best has to be so much nearer than the next of another kind. */
const clearly = 1.5;
/** Pictures that are shown with each normalization. */
const pictures = 16;
/** Of this seed: not those that layers are fitted on. */
const seed = 0x10a4;

export interface NormalizationDistance {
  readonly normalization: Normalization;
  readonly name: string;
  readonly distance: number;
}

/** Those that differ too little to be told apart with certainty: the first one, unless another is clearly nearer. */
const alike: readonly string[] = ['imagenet', 'cifar10', 'cifar100'];

/**
 * How far what BatchNormalizations see of drawn pictures is from what their running statistics say, for each of
 * NORMALIZATIONS that the pictures can have, the nearest first; of those that are much alike one only. Empty where there are no statistics.
 */
export async function distances(
  model: Model,
  input: ImageInput,
  { driver, session: options, signal }: Pick<CalibrateContext, 'driver' | 'session' | 'signal'>,
): Promise<readonly NormalizationDistance[]> {
  const observed = observeNormalizationInputs(model, options.limits?.memory);
  if (observed === undefined) return [];
  // One by one where that will do: whether more can be run is not known yet.
  const batch = Math.max(1, input.batch);
  const drawer = pictureDrawer(seed);
  const candidates = namedNormalizations(input.channels).map(([name, normalization]) => ({
    name,
    normalization,
    pool: observed.pool(),
  }));
  const session = await driver.createSession(observed.bytes, options);
  try {
    for (let first = 0; first < pictures; first += batch) {
      const drawn = Array.from({ length: batch }, (_, index) => drawer.draw(first + index, input));
      for (const { normalization, pool } of candidates) {
        throwIfAborted(signal);
        pool.add(await session.run(pictureFeed(drawn, input, normalization), undefined, { signal }));
      }
    }
    const results = candidates.map(({ name, normalization, pool }) => ({
      name,
      normalization,
      distance: pool.distance(),
    }));
    results.sort((a, b) => a.distance - b.distance);
    const nearest = results.find(({ name }) => alike.includes(name));
    const usual = results.find(({ name }) => name === alike[0]);
    if (nearest === undefined || usual === undefined) return results;
    const kept = nearest.distance * clearly < usual.distance ? nearest : usual;
    return results.filter((result) => !alike.includes(result.name) || result === kept);
  } finally {
    await session.close();
  }
}
