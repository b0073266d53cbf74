import { LowrankError } from '../errors.js';
import { type Model, opsetOf } from '../graph/model.js';
import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { Tensor } from '../onnx/tensor.js';
import { type InferOptions, inferShapes, type ShapeTable } from '../ops/infer.js';
import { withImages } from './batch/place.js';
import { manyTimes, propagateBatch } from './batch/propagate.js';
import { changeGraph } from './runner.js';

/** The symbol of the batch where a model has a fixed one. */
export const batchSymbol = 'batch';

/** The first opset whose operators broadcast without attributes, which is what is followed. */
const oldestOpset = 7;

/**
 * Opens the batch of a model exported for a fixed one: the images are followed through the graph (`propagateBatch`), what
 * has their number baked in on the way (Reshape, Expand, Slice, Resize, tensors beside them) takes any number, and the
 * first dimension of `images` becomes a symbol. Declared shapes that say the old batch are forgotten.
 * Models with an open batch and a fixed 1 on the way exist too: they are followed where another batch does not fit; where
 * that leads nowhere, Reshapes to a batch of 1 that name every dimension are opened.
 * Gives why the batch of a model exported for a fixed one stays as it is, the graph then untouched; undefined where it is
 * open. Throws GRAPH where the graph is broken behind it.
 */
export function openBatch(model: Model, images: Value, options: InferOptions = {}): LowrankError | undefined {
  const declaredBatch = images.declared?.dims?.[0];
  if (declaredBatch === undefined) return undefined;
  const isFixed = typeof declaredBatch === 'number';
  if (!isFixed && takesMany(model, images, options)) return undefined;
  const ofOne = isFixed ? options : atOneImage(model, images, options);
  const why = follow(model, images, isFixed ? declaredBatch : 1, ofOne);
  if (why === undefined || isFixed) return why;
  changeGraph(model, 'open-batch', () => openReshapes(model));
  return undefined;
}

/** The refusal of who needs an open batch, by what stands in the way of it. */
export function notOpened({ fact, place }: LowrankError): LowrankError {
  return new LowrankError('UNSUPPORTED', `the batch that the model was exported for cannot be opened: ${fact}`, {
    ...(place === undefined ? {} : { place }),
    remedy: 'export it with an open batch',
  });
}

/** Whether a model with an open batch takes many images as it is. */
function takesMany(model: Model, images: Value, options: InferOptions): boolean {
  try {
    const [batch, ...dims] = inferShapes(model, options).require(images).dims;
    inferShapes(model, atBatch(options, images, [manyTimes * batch!, ...dims]));
    return true;
  } catch (error) {
    if (error instanceof LowrankError && error.code === 'SHAPE') return false;
    throw error;
  }
}

function atBatch(options: InferOptions, { name }: Value, dims: readonly number[]): InferOptions {
  return { ...options, inputShapes: { ...options.inputShapes, [name]: dims } };
}

function atOneImage(model: Model, images: Value, options: InferOptions): InferOptions {
  const { dims } = inferShapes(model, options).require(images);
  return atBatch(options, images, [1, ...dims.slice(1)]);
}

function follow(model: Model, images: Value, batch: number, options: InferOptions): LowrankError | undefined {
  const { graph } = model;
  if (opsetOf(model) < oldestOpset) {
    return new LowrankError('UNSUPPORTED', `its operators are of opset ${opsetOf(model)}`);
  }
  const shapes = inferShapes(model, options);
  let found;
  try {
    found = propagateBatch(model, images, batch, shapes);
    for (const output of graph.outputs) {
      const place = found.places.get(output);
      if (place === undefined || (place.axis === 0 && place.outer === 1)) continue;
      throw new LowrankError('UNSUPPORTED', `the batch is axis ${place.axis} of output '${output.name}'`);
    }
  } catch (error) {
    if (!(error instanceof LowrankError) || error.code !== 'UNSUPPORTED') throw error;
    return error;
  }
  const { places, edits } = found;
  const open = (value: Value): void => {
    const { declared } = value;
    if (declared?.dims === undefined || typeof declared.dims[0] !== 'number') return;
    const inner = declared.dims[0] / batch;
    const symbol = inner === 1 ? batchSymbol : `${batchSymbol}_times_${inner}`;
    redeclareAs(value, [symbol, ...declared.dims.slice(1)]);
  };
  changeGraph(model, 'open-batch', () => {
    for (const edit of edits) edit(graph);
    open(images);
    for (const value of places.keys()) {
      if (value.isOutput) open(value);
      else if (value !== images) redeclareAs(value, undefined);
    }
    const { dims } = shapes.require(images);
    const many = inferShapes(model, atBatch(options, images, [manyTimes * dims[0]!, ...dims.slice(1)]));
    for (const [value, place] of places) {
      const wanted = withImages(shapes.require(value).dims, place, manyTimes);
      if (many.require(value).dims.join() === wanted.join()) continue;
      throw new LowrankError('GRAPH', `'${value.name}' does not take another batch`);
    }
  });
  return undefined;
}

/**
 * Forgets what a model declares of values in between, which may speak of the old batch, and has `images` declared anew: for
 * a model that is written and read again at another batch size.
 */
export function redeclare({ graph }: Model, images: Value | undefined): void {
  for (const value of graph.values.values()) {
    if (value === images) value.info = undefined;
    else if (value.producer !== undefined) redeclareAs(value, undefined);
  }
}

function redeclareAs(value: Value, dims: Dimensions): void {
  if (value.declared === undefined) return;
  value.info = undefined;
  value.declared = { ...value.declared, dims };
}

type Dimensions = NonNullable<Value['declared']>['dims'];

function openReshapes(model: Model): void {
  const { graph } = model;
  const shapes = inferShapes(model);
  const reshapes = graph.sorted().filter((node) => node.is('Reshape'));
  if (!reshapes.map((node) => openReshape(model, node, shapes)).includes(true)) return;
  for (const output of graph.outputs) {
    const dims = output.declared?.dims;
    if (dims?.[0] !== 1) continue;
    output.declared = { dataType: output.declared!.dataType, dims: [batchSymbol, ...dims.slice(1)] };
  }
  for (const value of graph.nodes.flatMap(({ outputs }) => outputs)) {
    if (value?.declared?.dims?.[0] !== 1 || value.isOutput) continue;
    value.declared = { ...value.declared, dims: undefined };
  }
}

/** Whether it was opened: where it names every dimension, −1 in the place of a batch of 1 means the same. */
function openReshape({ graph }: Model, node: Node, shapes: ShapeTable): boolean {
  const [x, shape] = node.inputs;
  if (x === undefined || shape === undefined || shapes.constantOf(x) !== undefined) return false;
  if (x.tensor !== undefined || shape.tensor === undefined) return false;
  const target = shapes.constantOf(shape);
  if (target === undefined || shapes.typeOf(x) === undefined || target[0] !== 1) return false;
  if (!target.every((dim) => dim > 0)) return false;
  const opened = graph.addInitializer(
    Tensor.ofInts(graph.uniqueName(`${shape.name}.open`), [target.length], [-1, ...target.slice(1)]),
  );
  graph.setInput(node, 1, opened);
  graph.removeIfUnused(shape);
  return true;
}
