import { LowrankError } from '../errors.js';
import { matchesGlob } from '../factorize/glob.js';
import { checkModel } from '../graph/check.js';
import type { Model } from '../graph/model.js';
import { describeType, readModel } from '../graph/read.js';
import type { Value } from '../graph/value.js';
import { sortedAncestors } from '../graph/ancestors.js';
import type { Graph } from '../graph/graph.js';
import { dataTypeName, FLOAT, isFloatType } from '../onnx/data-type.js';
import { inferShapes, type ShapeTable } from '../ops/infer.js';
import { bfloat16Opset } from '../ops/precision.js';
import { constantsToInitializers } from '../passes/constants-to-initializers.js';
import { copiesToInitializers } from '../passes/copies-to-initializers.js';
import { raiseOpset } from '../passes/raise-opset.js';
import { runPasses } from '../passes/runner.js';
import { setDropPath } from './drop-path.js';
import { setDropout } from './dropout.js';
import { layOut, type Slot } from './flat.js';
import { layoutOf } from './images.js';
import { openBatch } from '../passes/open-batch.js';
import { findFactorPairs, type FactorPairs } from './pairs.js';
import { findParameters } from './parameters.js';
import { type GraphSettings, halfTypeOf } from './settings.js';

/** A tensor that is trained. */
export interface Parameter extends Slot {
  readonly value: Value;
  /** Whether weight decay applies. */
  readonly decay: boolean;
  /** The pair it is a factor of, by the name of the layer that the pair replaced. */
  readonly pair: string | null;
}

/** A running statistic of a normalization layer. */
export interface Statistic extends Slot {
  readonly value: Value;
}

/** A model made ready for training: float32, of ai.onnx 17 or later, its batch open, ending in logits. */
export interface Prepared {
  readonly model: Model;
  readonly images: Value;
  /** Of one image: [C, H, W], or [H, W, C] where the model takes it so. */
  readonly imageDims: readonly number[];
  readonly layout: 'nchw' | 'nhwc';
  /** [N, classes], before any Softmax. */
  readonly logits: Value;
  readonly classes: number;
  readonly parameters: readonly Parameter[];
  readonly statistics: readonly Statistic[];
  readonly pairs: FactorPairs;
  readonly warnings: readonly string[];
  /** Shapes for a batch size. */
  shapesFor(batch: number): ShapeTable;
}

export interface PrepareTrainingOptions {
  readonly settings: Pick<GraphSettings, 'decay' | 'frobeniusDecay' | 'freeze' | 'dropout' | 'dropPath'> &
    Partial<Pick<GraphSettings, 'precision'>>;
  /** [C, H, W] or [H, W, C] for models whose image size is open; default what the model says, 224 where it does not. */
  readonly imageDims?: readonly number[];
  /** Side of the images of such a model, in pixels; the channels are the model's. */
  readonly imageSize?: number;
}

/** The opset that training graphs have at least: what their operators are written for. */
export const trainingOpset = 17;

/**
 * Reads a model and makes it ready for training: raises the opset, opens the batch, takes a final Softmax away and finds
 * the parameters. The file stays open until `model.file.close()`.
 * Throws what `readModel` throws, UNSUPPORTED where the model is no classifier of images with float32 weights.
 */
export function prepareTraining(path: string | Uint8Array, options: PrepareTrainingOptions): Prepared {
  const model = readModel(path);
  try {
    return prepared(model, options);
  } catch (error) {
    model.file?.close();
    throw error;
  }
}

function prepared(model: Model, options: PrepareTrainingOptions): Prepared {
  const { settings, imageSize } = options;
  checkModel(model);
  const { graph } = model;
  const images = imageInput(model);
  const given = options.imageDims ?? (imageSize === undefined ? undefined : squareDims(model, images, imageSize));
  const inputShapes = given === undefined ? {} : { [images.name]: [fixedBatch(images) ?? 1, ...given] };
  const opset = settings.precision === 'bfloat16' ? bfloat16Opset : trainingOpset;
  runPasses(model, [constantsToInitializers, copiesToInitializers, raiseOpset(opset)], {
    shapes: { inputShapes },
  });
  openBatch(model, images);
  const imageDims = given ?? inferShapes(model).require(images).dims.slice(1);
  const logits = logitsOf(model);
  if (settings.dropout !== null) setDropout(graph, logits, settings.dropout);
  if (settings.dropPath > 0) setDropPath(graph, logits, settings.dropPath);
  const shapesFor = (batch: number): ShapeTable =>
    inferShapes(model, { inputShapes: { [images.name]: [batch, ...imageDims] } });
  const shapes = shapesAtAnotherBatch(shapesFor);
  const classes = classesOf(logits, shapes);
  if (halfTypeOf(settings.precision) !== undefined) requireFloat32(graph, logits, shapes);
  const found = findParameters(graph, logits, settings.freeze);
  const { pairs, warnings } = findFactorPairs(model, shapes, new Set(found.parameters));
  const pairOf = new Map(pairs.flatMap(({ name, u, v }) => [u, v].map((value) => [value, name] as const)));
  const isDecayed = (value: Value): boolean => {
    if (settings.frobeniusDecay > 0 && pairOf.has(value)) return false;
    if (settings.decay === null) return value.tensor!.dims.length >= 2;
    return settings.decay.some((glob) => matchesGlob(value.name, glob));
  };
  for (const glob of settings.decay ?? []) {
    if (found.parameters.some(({ name }) => matchesGlob(name, glob))) continue;
    throw new LowrankError('USAGE', `--decay '${glob}' matches no parameter`, {
      remedy: `their names are like '${found.parameters[0]!.name}'`,
    });
  }
  return {
    model,
    images,
    imageDims,
    layout: layoutOf(imageDims),
    logits,
    classes,
    parameters: layOut(
      found.parameters.map((value) => ({
        value,
        name: value.name,
        shape: value.tensor!.dims,
        decay: isDecayed(value),
        pair: pairOf.get(value) ?? null,
      })),
    ),
    statistics: layOut(found.statistics.map((value) => ({ value, name: value.name, shape: value.tensor!.dims }))),
    pairs,
    warnings: [...warnings, ...shapes.warnings.slice(0, 3)],
    shapesFor,
  };
}

/** Mixed precision is put into a float32 model. Throws UNSUPPORTED, with the first value of another float type. */
function requireFloat32(graph: Graph, logits: Value, shapes: ShapeTable): void {
  for (const node of sortedAncestors(graph, logits)) {
    for (const value of [...node.inputs, ...node.outputs]) {
      const type = value === undefined ? undefined : (shapes.typeOf(value) ?? value.tensor);
      if (type === undefined || type.dataType === FLOAT || !isFloatType(type.dataType)) continue;
      throw new LowrankError('UNSUPPORTED', `the model computes in ${dataTypeName(type.dataType)} already`, {
        place: `'${value!.name}' of ${node.label}`,
        remedy: 'export it in float32, or train with --precision float32',
      });
    }
  }
}

/** Another batch size than any model is exported for. */
const probeBatch = 3;

function shapesAtAnotherBatch(shapesFor: (batch: number) => ShapeTable): ShapeTable {
  try {
    return shapesFor(probeBatch);
  } catch (error) {
    if (!(error instanceof LowrankError) || error.code !== 'SHAPE') throw error;
    throw new LowrankError('UNSUPPORTED', `the model cannot take a batch of ${probeBatch}: ${error.fact}`, {
      ...(error.place === undefined ? {} : { place: error.place }),
      remedy: 'export it with an open batch',
      cause: error,
    });
  }
}

function fixedBatch({ declared }: Value): number | undefined {
  const batch = declared?.dims?.[0];
  return typeof batch === 'number' ? batch : undefined;
}

function imageInput({ graph }: Model): Value {
  const inputs = graph.inputs.filter((value) => value.tensor === undefined);
  const [images] = inputs;
  if (inputs.length !== 1 || images === undefined) {
    throw new LowrankError(
      'UNSUPPORTED',
      `the model has ${inputs.length} inputs where training needs one, the images`,
      {
        place: inputs.map(({ name }) => `'${name}'`).join(', '),
        remedy: 'export the model with the images as its only input',
      },
    );
  }
  const { declared } = images;
  if (declared?.dataType === FLOAT && declared.dims !== undefined && declared.dims.length >= 2) return images;
  throw new LowrankError('UNSUPPORTED', 'the input is no float32 batch', {
    place: `input '${images.name}'${declared === undefined ? '' : ` ${describeType(declared)}`}`,
    remedy: 'give a model that takes float32 images',
  });
}

/** The first output, or what its Softmax reads. */
function logitsOf({ graph }: Model): Value {
  let value = graph.outputs[0]!;
  for (;;) {
    const node = value.producer;
    const isPassed = node !== undefined && ['Softmax', 'LogSoftmax', 'Identity'].some((opType) => node.is(opType));
    if (!isPassed || node.inputs[0] === undefined) return value;
    value = node.inputs[0];
  }
}

function classesOf(logits: Value, shapes: ShapeTable): number {
  const { dims } = shapes.require(logits);
  const [batch, classes, ...rest] = dims;
  if (batch === probeBatch && classes !== undefined && classes > 1 && rest.every((dim) => dim === 1)) return classes;
  throw new LowrankError('UNSUPPORTED', `the output is [${dims.join(', ')}] for a batch of ${probeBatch}`, {
    place: `output '${logits.name}'`,
    remedy: 'training needs a classifier whose output is [batch, classes]',
  });
}

/** The dimensions of square images of the given side, with the channels of the model. */
function squareDims(model: Model, images: Value, side: number): readonly number[] {
  const dims = inferShapes(model).require(images).dims.slice(1);
  const place = `input '${images.name}'`;
  const remedy = 'leave out --image-size';
  if (dims.length !== 3) {
    throw new LowrankError('USAGE', `the model takes [${dims.join(', ')}], which has no image size`, { place, remedy });
  }
  const square = layoutOf(dims) === 'nhwc' ? [side, side, dims[2]!] : [dims[0]!, side, side];
  const fixed = images.declared!.dims!.slice(1);
  if (fixed.every((dim, i) => typeof dim !== 'number' || dim === square[i])) return square;
  throw new LowrankError('USAGE', `the model takes images of [${dims.join(', ')}], not [${square.join(', ')}]`, {
    place,
    remedy,
  });
}
