import { LowrankError } from '../errors.js';
import { checkModel } from '../graph/check.js';
import { type ImageFacts, recordImageFacts } from '../graph/image-facts.js';
import type { Model } from '../graph/model.js';
import { readModel } from '../graph/read.js';
import type { Value } from '../graph/value.js';
import { stageModel, type StagedModel, type WriteOptions } from '../graph/write.js';
import { Tensor } from '../onnx/tensor.js';
import { becomeInitializer } from '../passes/become-initializer.js';
import { inlineFunctions } from '../passes/inline-functions.js';
import { toInferenceForm } from '../passes/inference-form.js';
import { type TieName, untie } from '../passes/untie.js';
import type { Slot } from './flat.js';

/** Weights to put into a model: flat vectors and where each tensor lies in them. */
export interface TrainedWeights {
  readonly parameters: Float32Array;
  readonly statistics: Float32Array;
  readonly parameterSlots: readonly Slot[];
  readonly statisticSlots: readonly Slot[];
  /** How the model was untied when these were found; default: auto. */
  readonly tie?: TieName;
}

/**
 * The model that training began with, with its trained weights in place of the old; everything else stays byte for byte.
 * Copies of a weight that were trained on their own become initializers; a model in training form is put into inference form.
 * The result is open (`model.file`). Throws what `readModel` throws, INTERNAL where a weight has no place.
 */
export function trainedModel(source: string | Uint8Array, weights: TrainedWeights): Model {
  const names = [...weights.parameterSlots, ...weights.statisticSlots].map(({ name }) => name);
  const model = placesFor(names, source, weights.tie ?? 'auto');
  put(model, weights.parameters, weights.parameterSlots);
  put(model, weights.statistics, weights.statisticSlots);
  checkModel(model);
  return model;
}

/**
 * The model with a place for each tensor. Functions of the model are put in place only where a tensor lies inside of one, or a
 * layer there is in training form.
 */
export function placesFor(names: readonly string[], source: string | Uint8Array, tie: TieName): Model {
  const settled = (isInlined: boolean): { readonly model: Model; readonly isChanged: boolean } => {
    const model = readModel(source);
    if (isInlined) inlineFunctions(model);
    const isChanged = toInferenceForm(model).length > 0;
    untie(model, tie, new Set(names));
    return { model, isChanged };
  };
  const plain = settled(false);
  if (plain.model.functions.length === 0) return plain.model;
  const inlined = settled(true);
  const isNeeded = inlined.isChanged || names.some((name) => plain.model.graph.value(name) === undefined);
  (isNeeded ? plain : inlined).model.file?.close();
  return isNeeded ? inlined.model : plain.model;
}

/** Writes the trained model, with what is known of its images, beside its place, into one file below 2 GiB; `commit` puts it there. */
export function stageTrained(
  source: string | Uint8Array,
  weights: TrainedWeights,
  path: string,
  { images = {}, ...options }: WriteOptions & { readonly images?: ImageFacts } = {},
): StagedModel {
  const model = trainedModel(source, weights);
  try {
    recordImageFacts(model, images);
    return stageModel(model, path, { dataLocation: 'single', ...options });
  } finally {
    model.file?.close();
  }
}

/** Puts the tensors of a flat vector into their places. Throws INTERNAL where one has none. */
export function put({ graph }: Model, flat: Float32Array, slots: readonly Slot[]): void {
  for (const { name, shape, offset, size } of slots) {
    const value = graph.value(name);
    const tensor = Tensor.ofFloats(name, shape, flat.slice(offset, offset + size));
    if (value?.tensor !== undefined) graph.setTensor(value, tensor);
    else if (value !== undefined && isConstant(value)) {
      value.producer!.setAttribute('value', { type: 'tensor', value: tensor.renamed('') });
    } else if (value?.producer?.is('Identity') === true) becomeInitializer(graph, value, tensor);
    else throw new LowrankError('INTERNAL', `'${name}' is no weight of the model`);
  }
}

function isConstant({ producer }: Value): boolean {
  return producer?.is('Constant') === true;
}
