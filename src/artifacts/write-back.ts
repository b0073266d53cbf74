import { statSync } from 'node:fs';
import { inWords, LowrankError, throwIfAborted } from '../errors.js';
import { describeOutput } from '../rewrite/report-parts.js';
import { recordPreparation } from '../images/record-preparation.js';
import { checkPaths, type PathUse, reads } from '../files/conflicts.js';
import { checkModel } from '../graph/check.js';
import type { Graph } from '../graph/graph.js';
import { imageKeys, recordImageFacts } from '../graph/image-facts.js';
import type { Model } from '../graph/model.js';
import { modelReads, modelWrites } from '../graph/model-paths.js';
import { stageModel } from '../graph/write.js';
import { limitsOf, checkedLimits } from '../limits.js';
import { fileSha256 } from '../files/hash.js';
import { paced } from '../files/pieces.js';
import type { Tensor } from '../onnx/tensor.js';
import { checkWritable } from '../files/write-file.js';
import type { WriteBackReport } from '../contracts/write-back.js';
import { tool } from '../version.js';
import { readOrigin } from './artifacts-folder.js';
import { placesFor, put } from '../step/export.js';
import type { Slot } from '../step/flat.js';
import { imageHints } from '../images/image-metadata.js';
import { prepareTraining } from '../step/prepare.js';
import { readSafetensors, type SafetensorsFile, safetensorsMetadata } from '../files/safetensors.js';
import { checkGraphSettings, defaultGraphSettings, type GraphSettings } from '../step/settings.js';
import { foundPairs } from './found-pairs.js';
import { type Wanted, gathered, refuseUnknown, shown } from './trained-tensors.js';

/** Metadata of a file of trained tensors: the folder of the artifacts that they were trained with. */
const artifactsKey = 'lowrank.artifacts';

export interface WriteBackOptions {
  /** The model that was trained, or the folder of its artifacts. Default: the folder that the trained file names. */
  readonly model?: string | undefined;
  /** Where to write. Default: the model's name with `.trained.onnx`. */
  readonly output?: string | undefined;
  /** What is trained, where `model` is a model: as the artifacts were written. */
  readonly settings?: Partial<Pick<GraphSettings, 'freeze' | 'trainAlso' | 'tie'>> & { readonly imageSize?: number };
  /** Replace an existing output. */
  readonly force?: boolean;
  /** MiB that the model may need at once; default: the memory of the machine. */
  readonly maxMemory?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Puts what another program trained with the artifacts into the model: `trained` is a safetensors file that holds every
 * parameter and running statistic under its name, or the flat vectors `parameters` and `statistics` as `initial.safetensors`
 * has them. Where ranks are found, the model gets pairs of those that the bases have. Float16 and bfloat16 become float32. All else of the model stays as it is, but what the manifest and the metadata of `trained` say of
 * images (docs/metadata.md).
 *
 * Throws INPUT for files and folders that cannot be used and for tensors that are missing or not the model's, FORMAT, SHAPE for
 * shapes that are not those of the model, UNSUPPORTED for other types of numbers and for models that cannot be trained, NUMERIC
 * for what is not finite, USAGE, OUTPUT, ABORTED. Nothing is written then.
 */
export async function writeBack(trained: string, options: WriteBackOptions = {}): Promise<WriteBackReport> {
  const { force = false, signal } = options;
  const { folder, modelPath, output } = placesOf(trained, options);
  checkPaths(writeBackPaths(trained, options));
  checkWritable(output, force);
  const sha256 = await paced(fileSha256(modelPath), { signal });
  const wanted = folder === undefined ? wantedOf(modelPath, options) : originOf(folder, sha256);
  const file = readSafetensors(trained);
  throwIfAborted(signal);
  const parameters = gathered(file, wanted, 'parameters', trained);
  const statistics = gathered(file, wanted, 'statistics', trained);
  refuseUnknown(file, wanted, trained);
  const found =
    folder !== undefined && wanted.found !== undefined
      ? await foundPairs(folder, wanted.found.imageShape, { parameters, statistics }, trained)
      : undefined;
  const others = found ?? { parameters, statistics };
  const names = [...others.parameters.slots, ...others.statistics.slots].map(({ name }) => name);
  const model = placesFor(names, found?.source ?? modelPath, wanted.tie);
  try {
    let changed = found === undefined || found.isUntrained ? 0 : 1;
    for (const { flat, slots } of [others.parameters, others.statistics]) {
      changed += changes(model.graph, flat, slots, folder ?? modelPath);
      put(model, flat, slots);
    }
    requireVariances(model, trained);
    if (wanted.preparation !== null) recordPreparation(model, wanted.preparation);
    if (wanted.classNames !== null) recordImageFacts(model, { classes: wanted.classNames });
    recordMetadata(model, file.metadata, wanted.classes, trained);
    checkModel(model);
    throwIfAborted(signal);
    const staged = stageModel(model, output, { dataLocation: 'single', force });
    try {
      const trainedHash = await paced(fileSha256(trained), { signal });
      throwIfAborted(signal);
      return inWords<WriteBackReport>({
        schema: 'lowrank.write-back/1',
        tool,
        model: { path: modelPath, sha256 },
        trained: { path: trained, sha256: trainedHash },
        artifacts: folder ?? null,
        parameters: { tensors: parameters.slots.length, elements: parameters.flat.length },
        statistics: { tensors: statistics.slots.length, elements: statistics.flat.length },
        ...(found === undefined ? {} : { ranks: found.ranks }),
        output: describeOutput(staged.commit()),
        warnings: changed > 0 ? [] : ['the trained tensors are those of the model: nothing was trained'],
      });
    } finally {
      staged.discard();
    }
  } finally {
    model.file?.close();
  }
}

/** The files that `writeBack` reads and writes. Throws as that does where the model cannot be found. */
export function writeBackPaths(trained: string, options: WriteBackOptions): readonly PathUse[] {
  const { folder, modelPath, output } = placesOf(trained, options);
  return [
    reads(trained, 'the file of trained tensors'),
    ...(folder === undefined ? [] : [reads(folder, 'the folder of artifacts', undefined, 'folder')]),
    ...modelReads(modelPath),
    ...modelWrites(output),
  ];
}

interface Places {
  /** Of the artifacts; undefined where the model itself is named. */
  readonly folder: string | undefined;
  readonly modelPath: string;
  readonly output: string;
}

function placesOf(trained: string, { model, output }: WriteBackOptions): Places {
  const source = model ?? safetensorsMetadata(trained)[artifactsKey];
  if (source === undefined) {
    throw new LowrankError('USAGE', 'the trained tensors do not say which model they are of', {
      place: trained,
      remedy: 'name the model, or the folder of its artifacts',
    });
  }
  const isFolder = model === undefined || statSync(model, { throwIfNoEntry: false })?.isDirectory() === true;
  const modelPath = isFolder ? readOrigin(source).modelPath : source;
  return {
    folder: isFolder ? source : undefined,
    modelPath,
    output: output ?? `${modelPath.replace(/\.onnx$/i, '')}.trained.onnx`,
  };
}

function originOf(folder: string, sha256: string): Wanted {
  const origin = readOrigin(folder);
  if (origin.sha256 === sha256) return origin;
  throw new LowrankError('INPUT', 'the model is not the one that the artifacts are of', {
    place: `${origin.modelPath}, artifacts ${folder}`,
    remedy: 'name the right one in place of the folder; or write the artifacts again',
  });
}

function wantedOf(modelPath: string, options: WriteBackOptions): Wanted {
  const { imageSize, ...chosen } = options.settings ?? {};
  const settings = { ...defaultGraphSettings, ...chosen };
  checkGraphSettings(settings);
  const prepared = prepareTraining(modelPath, {
    settings,
    limits: limitsOf(checkedLimits(options)),
    ...(imageSize === undefined ? {} : { imageSize }),
  });
  prepared.model.file?.close();
  const { parameters, statistics, classes } = prepared;
  const nothing = { preparation: null, classNames: null, found: undefined };
  return { parameters, statistics, classes, tie: settings.tie, ...nothing };
}

/** How many tensors differ from those of the model. Throws FORMAT where one has no place of its shape. */
function changes(graph: Graph, flat: Float32Array, slots: readonly Slot[], place: string): number {
  return slots.filter((slot) => {
    const stored = storedIn(graph, slot.name);
    if (stored === undefined || stored.dims.join() !== slot.shape.join()) {
      throw new LowrankError('FORMAT', `the model has no tensor ${shown(slot)}`, {
        place,
        remedy: 'write the artifacts again',
      });
    }
    const old = stored.toFloat32();
    return old.some((value, at) => value !== flat[slot.offset + at]);
  }).length;
}

/** What a parameter starts as: an initializer, a Constant node, or an Identity of one. */
function storedIn(graph: Graph, name: string): Tensor | undefined {
  const value = graph.value(name);
  if (value?.tensor !== undefined) return value.tensor;
  const producer = value?.producer;
  if (producer?.is('Constant') === true) return producer.tensor('value');
  return producer?.is('Identity') === true ? producer.inputs[0]?.tensor : undefined;
}

/** Throws NUMERIC where the running variance of a BatchNormalization is negative, whose root is no number. */
function requireVariances({ graph }: Model, path: string): void {
  for (const node of graph.nodes) {
    const variance = node.is('BatchNormalization') ? node.inputs[4] : undefined;
    const numbers = variance?.tensor?.toFloat32();
    const at = numbers?.findIndex((value) => value < 0) ?? -1;
    if (at < 0) continue;
    throw new LowrankError('NUMERIC', `the running variance '${variance!.name}' is ${numbers![at]} at element ${at}`, {
      place: path,
      remedy: 'save the statistics that gradient.onnx gives, not their gradient',
    });
  }
}

/** Puts what the trained file says of its images into the model. Throws FORMAT for what is not written as docs/metadata.md says. */
function recordMetadata(
  model: Model,
  metadata: SafetensorsFile['metadata'],
  classes: number | null,
  path: string,
): void {
  const own = Object.values(imageKeys).flatMap((key) =>
    metadata[key] === undefined ? [] : [[key, metadata[key]] as const],
  );
  const hints = imageHints(new Map(own));
  const isRead: Readonly<Record<string, boolean>> = {
    [imageKeys.normalization]: hints.normalization !== undefined,
    [imageKeys.imageSize]: hints.imageSize !== undefined,
    [imageKeys.resize]: hints.resize !== undefined,
    [imageKeys.interpolation]: hints.interpolation !== undefined,
    [imageKeys.classes]: hints.classes?.ids.length === classes,
  };
  if (hints.normalization !== undefined) model.metadata.delete(imageKeys.normalizationFrom);
  for (const [key, text] of own) {
    if (isRead[key] === false) {
      throw new LowrankError('FORMAT', `its metadata say ${JSON.stringify(text)} for ${key}`, {
        place: path,
        remedy: 'write it as the metadata of models have it, or leave it out',
      });
    }
    model.metadata.set(key, text);
  }
}
