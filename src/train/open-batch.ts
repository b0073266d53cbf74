import type { Model } from '../graph/model.js';
import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { Tensor } from '../onnx/tensor.js';
import { inferShapes, type ShapeTable } from '../ops/infer.js';

/** The symbol of the batch where a model has a fixed one. */
export const batchSymbol = 'batch';

/**
 * Opens the batch of a model exported for a fixed one: the first dimension of `images` becomes a symbol, and of every
 * Reshape of what depends on the images the leading constant batch becomes 0 (as it comes) or −1 (what is left).
 * Whether that was enough is for shape inference at another batch size to say.
 */
export function openBatch(model: Model, images: Value): void {
  const { graph } = model;
  const { declared } = images;
  const batch = declared?.dims?.[0];
  if (declared?.dims === undefined || typeof batch !== 'number') return;
  const shapes = inferShapes(model);
  for (const node of graph.sorted()) {
    if (node.is('Reshape')) openReshape(model, node, shapes, batch);
  }
  const opened = (value: Value): void => {
    const dims = value.declared?.dims;
    if (dims?.[0] !== batch) return;
    value.declared = { dataType: value.declared!.dataType, dims: [batchSymbol, ...dims.slice(1)] };
  };
  opened(images);
  for (const output of graph.outputs) opened(output);
}

function openReshape({ graph }: Model, node: Node, shapes: ShapeTable, batch: number): void {
  const [x, shape] = node.inputs;
  if (x === undefined || shape === undefined || shapes.constantOf(x) !== undefined) return;
  if (x.tensor !== undefined || shape.tensor === undefined) return;
  const target = shapes.constantOf(shape);
  const from = shapes.typeOf(x)?.dims;
  if (target === undefined || from === undefined || target[0] !== batch) return;
  const isAllowZero = node.int('allowzero', 0) === 1;
  const first = from[0] === batch && !isAllowZero ? 0 : target.includes(-1) ? undefined : -1;
  if (first === undefined) return;
  const opened = graph.addInitializer(
    Tensor.ofInts(graph.uniqueName(`${shape.name}.open`), [target.length], [first, ...target.slice(1)]),
  );
  graph.setInput(node, 1, opened);
  graph.removeIfUnused(shape);
}
