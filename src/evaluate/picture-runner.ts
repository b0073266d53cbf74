import { LowrankError, messageOf, throwIfAborted } from '../errors.js';
import { modelBytes } from '../graph/write.js';
import type { Value } from '../graph/value.js';
import { imageFeed } from '../images/image-input.js';
import { withinLimits } from '../limits.js';
import { sizeOf } from '../ops/support/layout.js';
import { misplaced } from '../runtime/placement.js';
import type { RuntimeTensor } from '../runtime/types.js';
import type { MatchContext, MatchModel } from './match-model.js';

/** What a model gives for pictures, one by one. */
export interface PictureRunner {
  readonly warnings: readonly string[];
  /**
   * The values of each picture, by name, without an axis of pictures; none for a value that has no such axis in a model that takes
   * several pictures at once. Throws RUNTIME, ABORTED.
   */
  run(images: Float32Array | Uint8Array, count: number): Promise<readonly ReadonlyMap<string, RuntimeTensor>[]>;
  close(): Promise<void>;
}

/** Opens a session that gives `values`, outputs or not, and finds out by runs how many pictures it takes at once. Throws RUNTIME, ABORTED. */
export async function openPictureRunner(
  side: MatchModel,
  values: readonly Value[],
  { driver, session: options, signal }: MatchContext,
): Promise<PictureRunner> {
  const { path, model, input, isChanged } = side;
  const hidden = values.filter((value) => !value.isOutput);
  for (const value of hidden) {
    const type = side.shapes.require(value);
    model.graph.addOutput(value, { dataType: type.dataType, dims: undefined });
  }
  const source = isChanged || hidden.length > 0 ? modelBytes(model) : path;
  const session = await driver.createSession(source, options);
  const names = values.map(({ name }) => name);
  const pixels = sizeOf(input.imageDims);
  const runBatch = async (
    images: Float32Array | Uint8Array,
    batch: number,
    within = signal,
  ): Promise<Readonly<Record<string, RuntimeTensor>>> =>
    session.run(imageFeed(input, images, [batch, ...input.imageDims]), names, { signal: within });
  const black = (count: number): Float32Array => new Float32Array(count * pixels);
  try {
    const { batch, warnings } = await withinLimits(
      'running the model to find its batch',
      options.limits,
      signal,
      (within) => findBatch(side, (count) => runBatch(black(count), count, within), within),
    );
    const placed = misplaced(session, options.device ?? 'cpu', path);
    return {
      warnings: [...warnings, ...(placed === undefined ? [] : [placed])],
      run: async (images, count) => {
        const found: ReadonlyMap<string, RuntimeTensor>[] = [];
        const size = batch ?? count;
        for (let first = 0; first < count; first += size) {
          throwIfAborted(signal);
          const some = Math.min(size, count - first);
          const given = images.subarray(first * pixels, (first + some) * pixels);
          const outputs = await runBatch(some === size ? given : padded(given, size * pixels), size);
          for (let i = 0; i < some; i++) found.push(ofPicture(outputs, i, size));
        }
        return found;
      },
      close: async () => {
        await session.close();
      },
    };
  } catch (error) {
    await session.close();
    throw error;
  }
}

/** undefined where any number of pictures will do. */
async function findBatch(
  { input, path }: MatchModel,
  run: (count: number) => Promise<Readonly<Record<string, RuntimeTensor>>>,
  signal: AbortSignal | undefined,
): Promise<{ readonly batch: number | undefined; readonly warnings: readonly string[] }> {
  if (input.batch > 0) return { batch: input.batch, warnings: [] };
  try {
    const outputs = await run(2);
    const isOpen = Object.values(outputs).every(({ dims }) => dims[0] === 2);
    return { batch: isOpen ? undefined : 1, warnings: [] };
  } catch (error) {
    throwIfAborted(signal);
    try {
      await run(1);
    } catch (single) {
      throwIfAborted(signal);
      const side = `${input.width}x${input.height}`;
      throw new LowrankError('RUNTIME', `the model does not run on an image of ${side}: ${messageOf(single)}`, {
        place: path,
        remedy: 'say the side of its images with --image-size',
        cause: single,
      });
    }
    const text = `${path} says that it takes any batch, but runs at 1 only: one image per run (${messageOf(error)})`;
    return { batch: 1, warnings: [text] };
  }
}

function padded<Pixels extends Float32Array | Uint8Array>(images: Pixels, length: number): Pixels {
  const whole = images instanceof Uint8Array ? new Uint8Array(length) : new Float32Array(length);
  whole.set(images);
  return whole as Pixels;
}

/** The values of one picture of a run of `size`. */
function ofPicture(
  outputs: Readonly<Record<string, RuntimeTensor>>,
  index: number,
  size: number,
): ReadonlyMap<string, RuntimeTensor> {
  const own = new Map<string, RuntimeTensor>();
  for (const [name, tensor] of Object.entries(outputs)) {
    const { dims, data, type } = tensor;
    if (dims[0] === size) {
      const count = data.length / size;
      own.set(name, {
        type,
        dims: dims.slice(1),
        data: data.subarray(index * count, (index + 1) * count),
      });
    } else if (size === 1) own.set(name, tensor);
  }
  return own;
}
