import type { Model } from '../graph/model.js';
import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { Tensor } from '../onnx/tensor.js';
import { inferShapes, type ShapeTable } from '../ops/infer.js';
import { changeGraph } from './runner.js';

/** The symbol of the batch where a model has a fixed one. */
export const batchSymbol = 'batch';

/**
 * Opens the batch of a model exported for a fixed one: the first dimension of `images` becomes a symbol, and of every
 * Reshape of what depends on the images the leading constant batch becomes 0 (as it comes) or −1 (what is left). Declared
 * shapes of values in between, which say the old batch, are forgotten.
 * Models with an open batch and a Reshape to a fixed batch of 1 exist too: that Reshape is opened where it names every
 * dimension, so that −1 means the same.
 * Whether that was enough is for shape inference at another batch size to say. Throws GRAPH where the graph is broken behind it.
 */
export function openBatch(model: Model, images: Value): void {
  changeGraph(model, 'open-batch', () => open(model, images));
}

function open(model: Model, images: Value): void {
  const { graph } = model;
  const declaredBatch = images.declared?.dims?.[0];
  if (declaredBatch === undefined) return;
  const isFixed = typeof declaredBatch === 'number';
  const batch = isFixed ? declaredBatch : 1;
  const shapes = inferShapes(model);
  const reshapes = graph.sorted().filter((node) => node.is('Reshape'));
  const opened = reshapes.filter((node) => openReshape(model, node, shapes, batch, isFixed));
  if (!isFixed && opened.length === 0) return;
  const openFirst = (value: Value): void => {
    const dims = value.declared?.dims;
    if (dims?.[0] !== batch) return;
    value.declared = { dataType: value.declared!.dataType, dims: [batchSymbol, ...dims.slice(1)] };
  };
  if (isFixed) openFirst(images);
  for (const output of graph.outputs) openFirst(output);
  for (const value of graph.nodes.flatMap(({ outputs }) => outputs)) {
    if (value?.declared?.dims?.[0] !== batch || value.isOutput) continue;
    value.declared = { ...value.declared, dims: undefined };
  }
}

/**
 * Forgets what a model declares of values in between, which may speak of the old batch, and has `images` declared anew: for
 * a model that is written and read again at another batch size.
 */
export function redeclare({ graph }: Model, images: Value | undefined): void {
  for (const value of graph.values.values()) {
    if (value === images) value.info = undefined;
    else if (value.producer !== undefined && value.declared !== undefined) {
      value.info = undefined;
      value.declared = { ...value.declared, dims: undefined };
    }
  }
}

/** Whether it was opened. */
function openReshape({ graph }: Model, node: Node, shapes: ShapeTable, batch: number, isFixed: boolean): boolean {
  const [x, shape] = node.inputs;
  if (x === undefined || shape === undefined || shapes.constantOf(x) !== undefined) return false;
  if (x.tensor !== undefined || shape.tensor === undefined) return false;
  const target = shapes.constantOf(shape);
  const from = shapes.typeOf(x)?.dims;
  if (target === undefined || from === undefined || target[0] !== batch) return false;
  const isKept = isFixed && from[0] === batch && node.int('allowzero', 0) === 0;
  const isLeft = isFixed ? !target.includes(-1) : target.every((dim) => dim > 0);
  if (!isKept && !isLeft) return false;
  const opened = graph.addInitializer(
    Tensor.ofInts(graph.uniqueName(`${shape.name}.open`), [target.length], [isKept ? 0 : -1, ...target.slice(1)]),
  );
  graph.setInput(node, 1, opened);
  graph.removeIfUnused(shape);
  return true;
}
