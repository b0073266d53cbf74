import { differentiate } from '../autodiff/differentiate.js';
import { LowrankError } from '../errors.js';
import { countMacs } from '../rewrite/count.js';
import type { CalibrateContext } from '../factorize/calibration/types.js';
import { int } from '../graph/attributes.js';
import type { Model } from '../graph/model.js';
import { readModel } from '../graph/read.js';
import { modelBytes } from '../graph/write.js';
import { FLOAT } from '../onnx/data-type.js';
import { emitterFor } from '../ops/emitter.js';
import { inferShapes, type ShapeTable } from '../ops/infer.js';
import { requireMemory } from '../ops/memory.js';
import { endOfModel, hasClasses } from '../passes/classifier-end.js';
import { constantsToInitializers } from '../passes/constants-to-initializers.js';
import { eliminateDeadNodes } from '../passes/eliminate-dead-nodes.js';
import { inlineFunctions } from '../passes/inline-functions.js';
import { raiseOpset } from '../passes/raise-opset.js';
import { runPasses } from '../passes/runner.js';
import { type ImageInput, imageFeed } from './image-input.js';

/** The opset that gradients are written for. */
const opset = 17;

/** What a model makes of images, and how to change that. */
export interface ClassGradient {
  readonly classes: number;
  /** Images of a run. */
  readonly batch: number;
  /** Multiply-accumulates of the model for one image. */
  readonly macs: number;
  /**
   * `images`: [batch, …] as the model takes them. Gives the softmax of the logits, [batch, classes], and the gradient of the
   * cross-entropy to `targets`, one class for each image, like the images. Throws RUNTIME, ABORTED.
   */
  run(
    images: Float32Array,
    targets: readonly number[],
  ): Promise<{ readonly probabilities: Float32Array; readonly gradient: Float32Array }>;
  close(): Promise<void>;
}

/** undefined where the model has fewer classes, or none, takes no float32, has no gradient, or needs more memory than there may be. */
export async function openClassGradient(
  model: Model,
  input: ImageInput,
  { largestBatch, fewestClasses }: { readonly largestBatch: number; readonly fewestClasses: number },
  { driver, session: options, signal }: Pick<CalibrateContext, 'driver' | 'session' | 'signal'>,
): Promise<ClassGradient | undefined> {
  if (input.type !== 'float32' || !hasClassesFrom(model, fewestClasses)) return undefined;
  const batch = input.batch > 0 ? input.batch : largestBatch;
  const dims = [batch, ...input.imageDims];
  const inputShapes = { [input.name]: dims };
  const copy = readModel(modelBytes(model));
  let names: Names | undefined;
  let macs: number;
  try {
    inlineFunctions(copy);
    const passes = [constantsToInitializers, raiseOpset(opset)];
    const { shapes } = runPasses(copy, passes, { shapes: { inputShapes } });
    macs = countMacs(copy.graph, shapes) / batch;
    names = emitClassGradient(copy, input.name, shapes, fewestClasses);
    if (names === undefined) return undefined;
    requireMemory(copy.graph, inferShapes(copy, { inputShapes }), options.limits?.memory);
  } catch (error) {
    if (!(error instanceof LowrankError) || error.code === 'ABORTED') throw error;
    return undefined;
  }
  const { gradient, probabilities, targets, targetDims, classes } = names;
  const session = await driver.createSession(modelBytes(copy), options);
  return {
    classes,
    batch,
    macs,
    run: async (images, chosen) => {
      const oneHot = new Float32Array(batch * classes);
      for (const [image, target] of chosen.entries()) oneHot[image * classes + target] = 1;
      const feeds = {
        ...imageFeed(input, images, dims),
        [targets]: { type: 'float32' as const, dims: targetDims, data: oneHot },
      };
      const outputs = await session.run(feeds, undefined, { signal });
      const data = (name: string): Float32Array => outputs[name]!.data as Float32Array;
      return { probabilities: data(probabilities), gradient: data(gradient) };
    },
    close: async () => {
      await session.close();
    },
  };
}

/** As far as the model says it; otherwise its graph is looked at for the images. */
function hasClassesFrom(model: Model, fewest: number): boolean {
  const dims = model.graph.outputs[0]?.declared?.dims?.slice(1);
  const known = dims?.every((dim) => typeof dim === 'number') === true ? dims : undefined;
  return known === undefined || known.reduce<number>((product, dim) => product * Number(dim), 1) >= fewest;
}

interface Names {
  /** float32, [batch, classes], maybe with axes of 1: 1 for the class of each image. */
  readonly targets: string;
  readonly targetDims: readonly number[];
  readonly classes: number;
  readonly probabilities: string;
  readonly gradient: string;
}

/** Gives a classifier other outputs: softmax(z), and the gradient of −log softmax(z)[target] by the images, which begins as p − target. */
function emitClassGradient(model: Model, name: string, shapes: ShapeTable, fewestClasses: number): Names | undefined {
  if (!hasClasses(model, shapes)) return undefined;
  const { graph } = model;
  const { logits } = endOfModel(model, shapes);
  const e = emitterFor(model, shapes, 'classes.');
  const nodes = graph.sorted();
  const targetDims = e.dims(logits);
  const axis = targetDims.findIndex((dim, at) => at > 0 && dim > 1);
  const classes = targetDims[axis]!;
  if (classes < fewestClasses) return undefined;
  const type = { dataType: FLOAT, dims: targetDims };
  const targets = e.declare(graph.addInput(graph.uniqueName('classes.targets'), type), type);
  const probabilities = e.emit('Softmax', [e.cast(logits, FLOAT)], { axis: int(axis) });
  const seed = e.cast(e.sub(probabilities, targets), e.typeOf(logits).dataType);
  const images = graph.value(name)!;
  const gradient = differentiate(e, nodes, new Map([[logits, seed]]), [images]).get(images);
  if (gradient === undefined) return undefined;
  for (const output of graph.outputs.splice(0)) output.isOutput = false;
  for (const value of [probabilities, gradient]) graph.addOutput(value, { dataType: FLOAT, dims: e.dims(value) });
  runPasses(model, [eliminateDeadNodes]);
  return {
    targets: targets.name,
    targetDims,
    classes,
    probabilities: probabilities.name,
    gradient: gradient.name,
  };
}
