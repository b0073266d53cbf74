import { LowrankError } from '../errors.js';
import type { ModelSummary } from '../contracts/convert.js';
import type { SampleArrays } from '../data/types.js';
import { checkModel } from '../graph/check.js';
import type { Model } from '../graph/model.js';
import { readModel } from '../graph/read.js';
import { type ImageInput, pixelsOf } from '../images/image-input.js';
import type { ImageSettings } from '../images/image-settings.js';
import { type ImagePreparation, prepareImages } from '../images/preparation.js';
import { inferShapes, type ShapeTable } from '../ops/infer.js';
import { requireMemory } from '../ops/memory.js';
import { type EndKind, endOfModel, hasClasses } from '../passes/classifier-end.js';
import { fixInputs } from '../passes/fix-inputs.js';
import { biasOfZeros } from '../passes/bias-of-zeros.js';
import { inlineFunctions } from '../passes/inline-functions.js';
import { toInferenceForm } from '../passes/inference-form.js';
import { describeModel } from '../rewrite/prepare.js';
import type { Driver, SessionOptions } from '../runtime/types.js';

/** A model that is compared with another, as it is run. */
export interface MatchModel {
  readonly path: string;
  readonly model: Model;
  readonly summary: ModelSummary;
  readonly preparation: ImagePreparation;
  readonly input: ImageInput;
  /** For one run: of one picture, or of so many as the file says. */
  readonly shapes: ShapeTable;
  /** How the first output ends; undefined where it is of no classes. */
  readonly end: EndKind | undefined;
  /** Whether the graph is another one than in the file. */
  readonly isChanged: boolean;
  readonly warnings: readonly string[];
}

export interface MatchContext {
  readonly driver: Driver;
  readonly session: SessionOptions;
  readonly images: ImageSettings;
  /** What the samples are where they are arrays. */
  readonly arrays?: SampleArrays | undefined;
  readonly signal: AbortSignal | undefined;
}

/**
 * Reads both models; the pictures are prepared as the first one takes them. Throws what `readModel` and `prepareImages` throw, USAGE
 * where the second takes other pictures, RUNTIME where one run needs too much memory. The caller closes the files.
 */
export async function openMatchModels(
  paths: readonly [first: string, second: string],
  context: MatchContext,
): Promise<readonly [MatchModel, MatchModel]> {
  const first = await openMatchModel(paths[0], context);
  try {
    // What the user says of sides is held against what both take.
    const images = { ...context.images, imageSize: null };
    return [first, await openMatchModel(paths[1], { ...context, images }, first)];
  } catch (error) {
    first.model.file?.close();
    throw error;
  }
}

async function openMatchModel(
  path: string,
  { driver, session, images, arrays, signal }: MatchContext,
  first?: MatchModel,
): Promise<MatchModel> {
  const model = readModel(path);
  try {
    checkModel(model);
    inlineFunctions(model, 'what can be');
    const settled = [...toInferenceForm(model), ...biasOfZeros(model)];
    fixInputs(model, images.inputs);
    const preparation = await prepareImages(model, images, { path, driver, session, arrays, signal });
    const input = first === undefined ? preparation.input : sameInput(path, model, preparation.input, first);
    const dims = [Math.max(1, input.batch), ...input.imageDims];
    const shapes = inferShapes(model, { inputShapes: { [input.name]: dims } });
    requireMemory(model.graph, shapes, session.limits?.memory);
    const end = hasClasses(model, shapes) ? endOfModel(model, shapes) : undefined;
    return {
      ...{ path, model, preparation, input, shapes },
      summary: describeModel(model, dims, path),
      end: end?.kind,
      isChanged: settled.length > 0 || (images.inputs?.length ?? 0) > 0,
      warnings: [
        ...settled,
        ...(end?.warnings ?? []),
        ...(input.type === 'uint8' ? [`${path} takes pixels from 0 to 255: they are not normalized`] : []),
        ...(first === undefined ? [] : otherNormalization(path, preparation, first)),
      ],
    };
  } catch (error) {
    model.file?.close();
    throw error;
  }
}

/** The input of the second model, for pictures of the first one's size. Throws USAGE where it takes others. */
function sameInput(path: string, model: Model, input: ImageInput, first: MatchModel): ImageInput {
  const declared = model.graph.inputs.find(({ name }) => name === input.name)?.declared?.dims?.slice(1) ?? [];
  const { imageDims, width, height, layout } = first.input;
  const isOfSize = imageDims.every((dim, axis) => typeof declared[axis] !== 'number' || declared[axis] === dim);
  const pixels = [first.input, input].map(pixelsOf);
  if (isOfSize && input.layout === layout && pixels[0] === pixels[1]) return { ...input, imageDims, width, height };
  const shown = (dims: readonly unknown[], type: string): string =>
    `${type === 'uint8' ? 'bytes ' : ''}[${dims.join(', ')}]`;
  throw new LowrankError(
    'USAGE',
    `${first.path} takes pictures of ${shown(imageDims, pixels[0]!)}, and ${path} of ${shown(declared, pixels[1]!)}`,
    { remedy: 'give two models that take the same pictures' },
  );
}

/** What is wrong where the second model says that it wants other pictures than the first. */
function otherNormalization(path: string, { report }: ImagePreparation, first: MatchModel): string[] {
  const [own, used] = [report.normalization, first.preparation.report.normalization];
  const isSame = String([own.mean, own.deviation]) === String([used.mean, used.deviation]);
  if (isSame || own.from === 'assumed') return [];
  const text = ({ name, mean, deviation }: typeof own): string =>
    name ?? `mean ${mean.join(', ')}, std ${deviation.join(', ')}`;
  return [
    `${path} says that it wants normalization ${text(own)}, and both are shown pictures of ${text(used)}, as ${first.path} wants them; --normalization sets it`,
  ];
}
