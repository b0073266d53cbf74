import { LowrankError, messageOf, throwIfAborted } from '../errors.js';
import type { OutputFormat } from '../data/normalize.js';
import type { SampleArrays } from '../data/types.js';
import { describeModel } from '../rewrite/prepare.js';
import { toNumbers } from '../rewrite/samples.js';
import type { Model } from '../graph/model.js';
import { withinLimits } from '../limits.js';
import { inferShapes, type ShapeTable } from '../ops/infer.js';
import { requireMemory } from '../ops/memory.js';
import { checkModel } from '../graph/check.js';
import { readModel } from '../graph/read.js';
import { modelBytes } from '../graph/write.js';
import { fixInputs } from '../passes/fix-inputs.js';
import { biasOfZeros } from '../passes/bias-of-zeros.js';
import { inlineFunctions } from '../passes/inline-functions.js';
import { toInferenceForm } from '../passes/inference-form.js';
import { sizeOf } from '../ops/support/layout.js';
import type { ModelSummary } from '../contracts/convert.js';
import type { Driver, Session, SessionOptions } from '../runtime/types.js';
import { arrayInputOf, imageFeed, type ImageInput, inputsOf, pixelsOf } from '../images/image-input.js';
import { imageHints } from '../images/image-metadata.js';
import type { ImageSettings } from '../images/image-settings.js';
import { type ImagePreparation, prepareImages, sizedInput } from '../images/preparation.js';
import { misplaced } from '../runtime/placement.js';
import { type EndKind, endOfModel } from '../passes/classifier-end.js';

/** A model file that classifies images, ready to run as it is. */
export interface Classifier {
  readonly summary: ModelSummary;
  readonly classes: number;
  /** What the outputs are. */
  readonly end: EndKind;
  readonly width: number;
  readonly height: number;
  readonly layout: OutputFormat['layout'];
  readonly preparation: ImagePreparation;
  /** What the images come as: bytes for a model that takes bytes, else float32. */
  readonly pixels: OutputFormat['type'];
  /** The number of images that every run must have; undefined where any number will do. */
  readonly fixedBatch: number | undefined;
  readonly warnings: readonly string[];
  /** Outputs of all images, row-major [n, classes]. Throws RUNTIME, ABORTED. */
  predict(images: Float32Array | Uint8Array, dims: readonly number[]): Promise<Float32Array>;
  close(): Promise<void>;
}

export interface ClassifierOptions {
  /** The model, data inline, where it is in no file: the path is then its name in messages. */
  readonly bytes?: Uint8Array | undefined;
  readonly driver: Driver;
  readonly session: SessionOptions;
  /** How images become inputs, as far as the user says; or all of it, as it was found for another form of the model. */
  readonly images: ImageSettings | ImagePreparation;
  /** Values of inputs that are no images: see `fixInputs`. */
  readonly inputs?: readonly string[] | undefined;
  /** What the samples are where they are arrays. */
  readonly arrays?: SampleArrays | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Opens a model file, of any opset and quantized ones too, and finds out by runs what it takes: a batch of two, or else
 * of one where the model has the batch written into it. Throws what `readModel` throws, UNSUPPORTED where it is no
 * classifier of images, USAGE where it does not take images of the given size, RUNTIME where onnxruntime refuses it.
 */
export async function openClassifier(path: string, options: ClassifierOptions): Promise<Classifier> {
  const { driver, session: sessionOptions, signal } = options;
  const source = options.bytes ?? path;
  const model = readModel(source);
  let session: Session | undefined;
  try {
    checkModel(model);
    inlineFunctions(model, 'what can be');
    const settled = [...toInferenceForm(model), ...biasOfZeros(model)];
    fixInputs(model, options.inputs);
    const isChanged = settled.length > 0 || (options.inputs?.length ?? 0) > 0;
    const end = endOfModel(model);
    const { arrays } = options;
    const sides = sidesOf(options, model);
    requireMemoryFor(model, arrays?.dims ?? sides.imageSize ?? sides.told, options.session);
    session = await driver.createSession(isChanged ? modelBytes(model) : source, sessionOptions);
    const input = arrays === undefined ? sizedInput(session, path, sides).input : arrayInputOf(session, path, arrays);
    const probed = session;
    const found = await withinLimits('running the model to find its shapes', sessionOptions.limits, signal, (within) =>
      probe(probed, input, path, within),
    );
    const { batch, classes } = found;
    const { images } = options;
    const preparation =
      'report' in images
        ? images
        : await prepareImages(model, images, {
            path,
            driver,
            session: sessionOptions,
            opened: session,
            arrays,
            signal,
          });
    return {
      summary: describeModel(model, [batch ?? 1, ...input.imageDims], path),
      classes,
      end: end.kind,
      width: input.width,
      height: input.height,
      layout: input.layout,
      preparation,
      pixels: pixelsOf(input),
      fixedBatch: batch,
      warnings: [
        ...settled,
        ...end.warnings,
        ...found.warnings,
        ...onCpu(session, sessionOptions, path),
        ...(input.type === 'uint8' ? [`${path} takes pixels from 0 to 255: they are not normalized`] : []),
      ],
      predict: (images, dims) => run(session!, input, images, dims, signal).then(({ data }) => data),
      close: async () => {
        await session!.close();
      },
    };
  } catch (error) {
    await session?.close();
    throw error;
  } finally {
    model.file?.close();
  }
}

/** What the user says of the side of the images, and what is told of the model. */
function sidesOf(
  { images }: ClassifierOptions,
  { metadata }: Model,
): { imageSize: number | null; told: number | undefined } {
  if (!('report' in images)) return { imageSize: images.imageSize, told: imageHints(metadata).imageSize };
  const { width, height } = images.report.size;
  return { imageSize: null, told: Math.min(width, height) };
}

/**
 * Throws RUNTIME where one image needs more memory than it may. Of a model whose shapes cannot be inferred, a run has to show
 * what is wrong.
 */
function requireMemoryFor(
  model: Model,
  size: number | readonly number[] | undefined,
  { limits }: SessionOptions,
): void {
  const [input] = inputsOf(model);
  const sized = typeof size === 'number' ? { defaultSide: size } : {};
  const shaped =
    typeof size === 'object' && input !== undefined
      ? { inputShapes: { [input.name]: [Math.max(1, input.dims[0] ?? 1), ...size] } }
      : {};
  let shapes: ShapeTable;
  try {
    shapes = inferShapes(model, { ...sized, ...shaped });
  } catch (error) {
    if (error instanceof LowrankError && error.code === 'SHAPE') return;
    throw error;
  }
  requireMemory(model.graph, shapes, limits?.memory);
}

/** Nodes that do not run on the device. */
function onCpu(session: Session, { device = 'cpu' }: SessionOptions, path: string): readonly string[] {
  const fact = misplaced(session, device, path);
  return fact === undefined ? [] : [fact];
}

interface Probed {
  readonly batch: number | undefined;
  readonly classes: number;
  readonly warnings: readonly string[];
}

/** Runs black images to see which batch the model takes and what comes out. */
async function probe(
  session: Session,
  input: ImageInput,
  path: string,
  signal: AbortSignal | undefined,
): Promise<Probed> {
  const attempt = async (batch: number): Promise<number> => {
    const elements = batch * sizeOf(input.imageDims);
    const { dims } = await run(session, input, new Float32Array(elements), [batch, ...input.imageDims], signal);
    const [n, ...rest] = dims;
    const classes = rest.filter((dim) => dim !== 1);
    if (n === batch && classes.length === 1 && classes[0]! > 1) return classes[0]!;
    throw new LowrankError(
      'UNSUPPORTED',
      `the first output, '${session.outputs[0]?.name ?? ''}', is [${dims.join(', ')}] for a batch of ${batch}, where a classifier gives [batch, classes]`,
      { place: path, remedy: 'give a classifier whose first output is one number per class' },
    );
  };
  if (input.batch > 0) return { batch: input.batch, classes: await attempt(input.batch), warnings: [] };
  try {
    return { batch: undefined, classes: await attempt(2), warnings: [] };
  } catch (error) {
    throwIfAborted(signal);
    let classes: number;
    try {
      classes = await attempt(1);
    } catch (single) {
      if (!(single instanceof LowrankError) || single.code !== 'RUNTIME') throw single;
      const side = `${input.width}x${input.height}`;
      throw new LowrankError('RUNTIME', `the model does not run on an image of ${side}: ${messageOf(single)}`, {
        place: path,
        remedy: 'say the side of its images with --image-size',
        cause: single,
      });
    }
    return {
      batch: 1,
      classes,
      warnings: [`${path} says that it takes any batch, but runs at 1 only: one image per run (${messageOf(error)})`],
    };
  }
}

async function run(
  session: Session,
  input: ImageInput,
  images: Float32Array | Uint8Array,
  dims: readonly number[],
  signal: AbortSignal | undefined,
): Promise<{ readonly dims: readonly number[]; readonly data: Float32Array }> {
  const output = session.outputs[0]!.name;
  const result = (await session.run(imageFeed(input, images, dims), [output], { signal }))[output]!;
  const data = result.data instanceof Float32Array ? result.data : Float32Array.from(toNumbers(result));
  return { dims: result.dims, data };
}
