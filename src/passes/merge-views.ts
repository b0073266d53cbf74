import { LowrankError } from '../errors.js';
import type { Graph } from '../graph/graph.js';
import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { INT64 } from '../onnx/data-type.js';
import { Tensor } from '../onnx/tensor.js';
import { sizeOf } from '../ops/support/layout.js';
import type { Pass, PassContext } from './runner.js';

/**
 * A Reshape gives another view of the same elements, so a view of a view is a view of the first value, a view in that
 * value's own dims is the value itself, and two views in the same dims are one. For graphs whose inputs have
 * fixed dims; outputs of the graph, and values that a body of If, Loop or Scan reads by name, stay.
 */
export const mergeViews: Pass = {
  name: 'merge-views',
  summary: 'chains of Reshape become one, repeated ones are shared',
  requires: ({ graph }) => {
    const open = graph.inputs.find(({ declared }) => declared?.dims?.some((dim) => typeof dim !== 'number'));
    if (open === undefined) return;
    throw new LowrankError('UNSUPPORTED', 'views are merged by their dims', { place: `input '${open.name}'` });
  },
  run: ({ graph }, context) => {
    /** What a view shows. */
    const roots = new Map<Value, Value>();
    /** The views of a value by their dims. */
    const views = new Map<Value, Map<string, Value>>();
    let changes = 0;
    for (const node of graph.sorted()) {
      const view = viewOf(node, context);
      if (view === undefined) continue;
      const { x, y, dims } = view;
      const root = roots.get(x) ?? x;
      const known = views.get(root) ?? new Map<string, Value>();
      views.set(root, known);
      const same = dims.join() === dimsOf(root, context)?.join() ? root : known.get(dims.join());
      const isFixed = y.isOutput || y.uses.some(({ index }) => index < 0);
      if (same !== undefined && !isFixed) {
        graph.replaceUses(y, same);
        graph.removeNode(node);
        changes++;
        continue;
      }
      if (root !== x) {
        graph.setInput(node, 0, root);
        graph.setInput(node, 1, shapeConstant(graph, dims));
        changes++;
      }
      roots.set(y, root);
      if (!known.has(dims.join())) known.set(dims.join(), y);
    }
    return changes;
  },
};

interface View {
  readonly x: Value;
  readonly y: Value;
  readonly dims: readonly number[];
}

function viewOf(node: Node, context: PassContext): View | undefined {
  const [x, shape] = node.inputs;
  const [y] = node.outputs;
  if (!node.is('Reshape') || x === undefined || y === undefined || shape?.tensor === undefined) return undefined;
  const dims = dimsOf(y, context);
  return dims === undefined || sizeOf(dims) === 0 ? undefined : { x, y, dims };
}

function dimsOf(value: Value, { shapes }: PassContext): readonly number[] | undefined {
  return shapes.typeOf(value)?.dims;
}

/** Zeros and −1 in a shape speak of the input that it is applied to: this one speaks for itself. */
function shapeConstant(graph: Graph, dims: readonly number[]): Value {
  const name = `shape.${dims.join('x')}`;
  const known = graph.value(name);
  if (known?.tensor !== undefined) return known;
  const data = BigInt64Array.from(dims, BigInt);
  return graph.addInitializer(Tensor.of(graph.uniqueName(name), INT64, [dims.length], new Uint8Array(data.buffer)));
}
