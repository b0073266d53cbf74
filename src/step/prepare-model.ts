import { LowrankError } from '../errors.js';
import { matchesGlob } from '../rewrite/glob.js';
import { checkModel } from '../graph/check.js';
import type { Model } from '../graph/model.js';
import type { Value } from '../graph/value.js';
import { sortedAncestors } from '../graph/ancestors.js';
import type { Graph } from '../graph/graph.js';
import { dataTypeName, FLOAT, isFloatType } from '../onnx/data-type.js';
import type { RunLimits } from '../limits.js';
import { inferShapes, type ShapeTable } from '../ops/infer.js';
import { bfloat16Opset } from '../ops/precision.js';
import { constantsToInitializers } from '../passes/constants-to-initializers.js';
import { copiesToInitializers } from '../passes/copies-to-initializers.js';
import { foldConstantIf } from '../passes/fold-constant-if.js';
import { fixInputs } from '../passes/fix-inputs.js';
import { inlineFunctions } from '../passes/inline-functions.js';
import { toInferenceForm } from '../passes/inference-form.js';
import { raiseOpset } from '../passes/raise-opset.js';
import { runPasses } from '../passes/runner.js';
import { spellOut } from '../passes/spell-out.js';
import { untie, type Untied } from '../passes/untie.js';
import { layOut, type Slot } from './flat.js';
import { layoutOf } from '../graph/image-layout.js';
import { notOpened, openBatch } from '../passes/open-batch.js';
import { findFactorPairs, type FactorPairs } from './pairs.js';
import { findParameters, type FoundParameters, type KeptTensor, storedTensors } from './parameters.js';
import { fixedBatch, imageInput, squareDims } from './model-images.js';
import { type GraphSettings, halfTypeOf } from './settings.js';
import type { Stored } from './what-stays.js';

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

/** A model made ready for training: float32, of ai.onnx 17 or later, its batch open. */
export interface PreparedModel {
  readonly model: Model;
  readonly images: Value;
  /** Of one image: [C, H, W], or [H, W, C] where the model takes it so. */
  readonly imageDims: readonly number[];
  readonly layout: 'nchw' | 'nhwc';
  readonly parameters: readonly Parameter[];
  readonly statistics: readonly Statistic[];
  /** Stored float tensors that what is minimized depends on and that are not trained, and why. */
  readonly kept: readonly KeptTensor[];
  /** Parameters and statistics that are copies of an initializer of the file, which several layers read, by name. */
  readonly copies: ReadonlyMap<string, string>;
  readonly pairs: FactorPairs;
  readonly warnings: readonly string[];
  /** The batch of the file, where it is not opened: all that is run takes so many images. */
  readonly ownBatch?: number | undefined;
  /** Shapes for a batch size; for the model's own where it has one. */
  shapesFor(batch: number): ShapeTable;
}

export interface PrepareTrainingOptions {
  readonly settings: Pick<GraphSettings, 'decay' | 'frobeniusDecay' | 'freeze' | 'dropout' | 'dropPath'> &
    Partial<Pick<GraphSettings, 'precision' | 'tie' | 'trainAlso'>>;
  /** [C, H, W] or [H, W, C] for models whose image size is open; default what the model says, 224 where it does not. */
  readonly imageDims?: readonly number[];
  /** Side of the images of such a model, in pixels; the channels are the model's. */
  readonly imageSize?: number;
  /** Values of inputs that are no images: see `fixInputs`. */
  readonly inputs?: readonly string[] | undefined;
  /** The least opset of the graphs; default 17, for bfloat16 later. */
  readonly opset?: number | undefined;
  /** What a run of the model on one image may take; default the memory of the machine. */
  readonly limits?: RunLimits | undefined;
  /**
   * A file with a fixed batch that cannot be opened is taken at its own; default: it is refused. Where it is known why its
   * batch must not be opened: that.
   */
  readonly ownBatch?: boolean | LowrankError | undefined;
}

/** The opset that training graphs have at least: what their operators are written for. */
export const trainingOpset = 17;

/** A model whose graph is as training needs it, before its parameters are looked for. */
export interface OpenedModel extends Pick<PreparedModel, 'model' | 'images' | 'imageDims' | 'shapesFor' | 'ownBatch'> {
  /** At a batch of its own, which no model is exported for. */
  shapes(): ShapeTable;
  readonly stored: Stored;
  readonly untied: readonly Untied[];
  readonly warnings: readonly string[];
}

/** Raises the opset, opens the batch, spells out what has no gradient of its own. Throws as `prepareTraining`. */
export function openForTraining(model: Model, options: PrepareTrainingOptions): OpenedModel {
  const { settings, imageSize } = options;
  checkModel(model);
  const { graph } = model;
  fixInputs(model, options.inputs, true);
  const images = imageInput(model);
  const given = options.imageDims ?? (imageSize === undefined ? undefined : squareDims(model, images, imageSize));
  refuseBlocked(graph);
  inlineFunctions(model);
  const warnings = toInferenceForm(model);
  const untied = untie(model, settings.tie ?? 'auto');
  const stored = storedTensors(graph);
  const inputShapes = given === undefined ? {} : { [images.name]: [fixedBatch(images) ?? 1, ...given] };
  const least = settings.precision === 'bfloat16' ? bfloat16Opset : trainingOpset;
  const opset = Math.max(least, options.opset ?? 0);
  runPasses(
    model,
    [constantsToInitializers, ...(settings.tie === 'always' ? [] : [copiesToInitializers]), raiseOpset(opset)],
    {
      shapes: { inputShapes },
    },
  );
  const fixed = fixedBatch(images);
  if (fixed !== undefined) foldConstantIf(model, () => [inferShapes(model, { inputShapes })]);
  const mayBeOwn = options.ownBatch ?? false;
  const obstacle = mayBeOwn instanceof LowrankError ? mayBeOwn : openBatch(model, images, { inputShapes });
  if (obstacle !== undefined && mayBeOwn === false) throw notOpened(obstacle);
  const ownBatch = obstacle === undefined ? undefined : fixed;
  runPasses(model, spellOut, { shapes: { inputShapes } });
  const imageDims = given ?? inferShapes(model).require(images).dims.slice(1);
  const shapesFor = (batch: number): ShapeTable =>
    inferShapes(model, { inputShapes: { [images.name]: [ownBatch ?? batch, ...imageDims] } });
  foldConstantIf(model, () => ifBatches.map((batch) => shapesFor(batch)));
  const shapes = (): ShapeTable => shapesAtAnotherBatch(shapesFor);
  const own = obstacle === undefined ? [] : [describeOwnBatch(fixed!, obstacle)];
  return { model, images, imageDims, shapesFor, shapes, stored, untied, warnings: [...warnings, ...own], ownBatch };
}

/** What a training at a model's own batch is told by. */
function describeOwnBatch(batch: number, { fact, place }: LowrankError): string {
  const runs = batch === 1 ? 'one image' : `${batch} images`;
  const why = place === undefined ? fact : `${fact} (${place})`;
  return `the model is run with ${runs} at a time and its BatchNormalization stays as it is, for its batch cannot be opened: ${why}`;
}

/** Finds what is trained of all that `ends` depend on. */
export function findTrained(
  {
    model,
    images,
    imageDims,
    shapesFor,
    shapes: shapesAgain,
    stored,
    untied,
    warnings: settled,
    ownBatch,
  }: OpenedModel,
  ends: readonly Value[],
  settings: PrepareTrainingOptions['settings'],
  endWarnings: readonly string[] = [],
): PreparedModel {
  const { graph } = model;
  const shapes = shapesAgain();
  if (halfTypeOf(settings.precision) !== undefined) requireFloat32(graph, ends, shapes);
  const found = findParameters(graph, ends, { freeze: settings.freeze, trainAlso: settings.trainAlso ?? [], stored });
  const { pairs, warnings } = findFactorPairs(model, shapes, new Set(found.parameters));
  const pairOf = new Map(pairs.flatMap(({ name, factors }) => factors.map(({ value }) => [value, name] as const)));
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
    kept: found.kept,
    copies: new Map(untied.flatMap(({ name, copies }) => copies.map((copy) => [copy, name] as const))),
    pairs,
    warnings: [
      ...settled,
      ...endWarnings,
      ...describeUntied(untied, found),
      ...describeKept(found.kept),
      ...warnings,
      ...shapes.warnings.slice(0, 3),
    ],
    ownBatch,
    shapesFor,
  };
}

/** Names that a warning gives. */
const mostNames = 3;

/** What is trained apart though the file stores it once. */
function describeUntied(untied: readonly Untied[], { parameters, statistics }: FoundParameters): string[] {
  const trained = new Set([...parameters, ...statistics].map(({ name }) => name));
  const apart = untied.filter(({ copies }) => copies.some((name) => trained.has(name)));
  if (apart.length === 0) return [];
  const names = apart.slice(0, mostNames).map(({ name, copies }) => `'${name}' (${copies.length + 1} readers)`);
  const more = apart.length > mostNames ? `, and ${apart.length - mostNames} more` : '';
  return [
    `equal tensors that the file stores once are trained apart: ${names.join(', ')}${more}; --tie always keeps each of them one parameter`,
  ];
}

/** What is not trained and may be taken for a weight. */
function describeKept(kept: readonly KeptTensor[]): string[] {
  const doubtful = kept.filter(({ looksLikeWeight }) => looksLikeWeight);
  if (doubtful.length === 0) return [];
  const names = doubtful.slice(0, mostNames).map(({ value, reason }) => `'${value.name}' (${reason})`);
  const more = doubtful.length > mostNames ? `, and ${doubtful.length - mostNames} more, which --explain lists` : '';
  return [`stored tensors that stay as they are: ${names.join(', ')}${more}; --train-also GLOB trains them`];
}

/** onnxruntime's own form of a model for one kind of processor has blocked weights and operators that are in no standard. */
function refuseBlocked(graph: Graph): void {
  const node = graph.nodes.find(({ domain }) => domain === 'com.microsoft.nchwc');
  if (node === undefined) return;
  throw new LowrankError('UNSUPPORTED', 'onnxruntime has optimized the model for one kind of processor (NCHWc)', {
    place: node.label,
    remedy: 'train the model as it was exported',
  });
}

/** Mixed precision is put into a float32 model. Throws UNSUPPORTED, with the first value of another float type. */
function requireFloat32(graph: Graph, ends: readonly Value[], shapes: ShapeTable): void {
  for (const node of sortedAncestors(graph, ...ends)) {
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
export const probeBatch = 3;

/** Sizes by which the condition of an If must agree to be one answer: 1 is what `squeeze` asks for. */
const ifBatches = [1, probeBatch] as const;

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
