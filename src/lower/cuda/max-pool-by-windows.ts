import { int } from '../../graph/attributes.js';
import type { Graph } from '../../graph/graph.js';
import { opsetOf } from '../../graph/model.js';
import type { Node, NodeSpec } from '../../graph/node.js';
import type { Value } from '../../graph/value.js';
import { DOUBLE, FLOAT, FLOAT16, INT32, INT64 } from '../../onnx/data-type.js';
import { Tensor } from '../../onnx/tensor.js';
import { missingKernel } from './kernels.js';
import type { TensorType } from '../../ops/operator.js';
import { poolDims } from '../../ops/support/pool.js';
import { poolBegins, type Window, windowOf } from '../../ops/support/window.js';
import { replacementOf } from '../../passes/replacement.js';
import type { Pass } from '../../passes/runner.js';

/**
 * MaxPool becomes a maximum along each spatial axis in turn, where CUDA has no kernel for it: its last one is of ai.onnx 12,
 * and does not serve 22, the opset of bfloat16 convolutions. Along an axis the k-th elements of all windows are gathered
 * (Gather, with the numbers of elements as a constant), and y = Max of them. Where a window reaches over the edge, the
 * first element inside it stands for those outside, which changes no maximum.
 *
 * Indices (the second output) come with it: i = the number of the first gathered element that equals y, from the last axis
 * to the first, so that of equal ones the first in row-major order is found, as MaxPool finds it. The results are the same
 * bits.
 */
export const maxPoolByWindows: Pass = {
  name: 'max-pool-by-windows',
  summary: 'MaxPool without a kernel on CUDA becomes maxima of gathered elements',
  run: (model, { shapes, refuse }) => {
    let changes = 0;
    const constant = sharedConstants(model.graph);
    for (const node of model.graph.nodes.filter((candidate) => candidate.is('MaxPool'))) {
      const type = shapes.typeOf(node.inputs[0]!);
      const dataType = type?.dataType;
      const call = { domain: '', opType: 'MaxPool', opset: opsetOf(model), inputs: [dataType], outputs: [dataType] };
      if (missingKernel(call) === undefined) continue;
      const plan = type === undefined ? 'its shape is not known' : planOf(node, type);
      if (typeof plan === 'string') refuse(node, plan);
      else {
        model.graph.replaceNode(node, () => byWindows(model.graph, node, plan, constant));
        changes++;
      }
    }
    return changes;
  },
};

interface Plan {
  readonly spatial: readonly number[];
  /** For each spatial axis and each element of a window: the element of x, for all windows along the axis. */
  readonly elements: readonly (readonly (readonly number[])[])[];
}

/** What is gathered; a text says why nothing can be. */
function planOf(node: Node, { dataType, dims }: TensorType): Plan | string {
  if (![FLOAT, FLOAT16, DOUBLE].includes(dataType)) return 'its elements are no floats';
  if (node.outputs[1] !== undefined && node.int('storage_order', 0) !== 0) return 'its indices are column-major';
  const spatial = dims.slice(2);
  const window = windowOf(node, node.ints('kernel_shape')!, spatial.length);
  const begins = poolBegins(spatial, window);
  const sizes = poolDims(node, dims).slice(2);
  const elements = spatial.map((size, axis) => elementsOf(window, axis, size, begins[axis]!, sizes[axis]!));
  if (elements.some((lists) => lists.length === 0)) return 'a window has no element';
  return { spatial, elements };
}

/** Empty where a window lies outside. */
function elementsOf(
  { kernel, strides, dilations }: Window,
  axis: number,
  size: number,
  begin: number,
  windows: number,
): number[][] {
  const at = (window: number, k: number): number => window * strides[axis]! - begin + k * dilations[axis]!;
  const ks = Array.from({ length: kernel[axis]! }, (_, k) => k);
  const firsts = Array.from({ length: windows }, (_, window) =>
    ks.map((k) => at(window, k)).find((element) => element >= 0 && element < size),
  );
  if (firsts.some((first) => first === undefined)) return [];
  return ks.map((k) =>
    firsts.map((first, window) => {
      const element = at(window, k);
      return element >= 0 && element < size ? element : first!;
    }),
  );
}

function byWindows(graph: Graph, node: Node, { spatial, elements }: Plan, constant: Constant): readonly NodeSpec[] {
  const [x] = node.inputs as Value[];
  const [y, indices] = node.outputs;
  const { specs, emit } = replacementOf(graph, node, 'windows');
  const ints = (values: readonly number[], dims: readonly number[] = [values.length]): Value =>
    constant(INT64, dims, values);
  /** The number of an element along its axis, times the distance of two such, to be added to `places` [N, C, …]. */
  const numbers = (list: readonly number[], axis: number): Value => {
    const distance = spatial.slice(axis + 1).reduce((product, dim) => product * dim, 1);
    const dims = spatial.map((_, i) => (i === axis ? list.length : 1));
    return constant(
      INT32,
      [1, 1, ...dims],
      list.map((element) => element * distance),
    );
  };

  let best = x!;
  let places: Value | undefined; // offsets inside one plane of x
  for (let axis = spatial.length - 1; axis >= 0; axis--) {
    const lists = elements[axis]!;
    const along = { axis: int(axis + 2) };
    const gathered = lists.map((list) => emit('Gather', [best, ints(list)], along));
    const largest = emit('Max', gathered, {}, axis === 0 ? y : undefined);
    if (indices !== undefined) {
      const before = places;
      const placeOf = (list: readonly number[]): Value =>
        before === undefined
          ? numbers(list, axis)
          : emit('Add', [emit('Gather', [before, ints(list)], along), numbers(list, axis)]);
      let place = placeOf(lists.at(-1)!);
      for (let k = lists.length - 2; k >= 0; k--) {
        place = emit('Where', [emit('Equal', [gathered[k]!, largest]), placeOf(lists[k]!), place]);
      }
      places = place;
    }
    best = largest;
  }
  if (indices === undefined) return specs;
  // Rows of x before each plane: [N, 1, …] of images and [1, C, …] of channels, times the elements of a plane.
  const plane = spatial.reduce((product, dim) => product * dim, 1);
  const ones = spatial.map(() => 1);
  const countOf = (axis: number): Value => {
    const size = emit('Shape', [x!], { start: int(axis), end: int(axis + 1) });
    return emit('Squeeze', [size, ints([0])]);
  };
  const upTo = (count: Value, dims: readonly number[]): Value => {
    const range = emit('Range', [ints([0], []), count, ints([1], [])]);
    return emit('Reshape', [range, ints(dims)]);
  };
  const channels = countOf(1);
  const images = emit('Mul', [upTo(countOf(0), [-1, 1, ...ones]), channels]);
  const planes = emit('Add', [images, upTo(channels, [1, -1, ...ones])]);
  const starts = emit('Mul', [planes, ints([plane], [])]);
  emit('Add', [emit('Cast', [places!], { to: int(INT64) }), starts], {}, indices);
  return specs;
}

type Constant = (dataType: typeof INT32 | typeof INT64, dims: readonly number[], values: readonly number[]) => Value;

/** Constants that are one for all nodes that need them, so that onnxruntime finds what is computed twice. */
function sharedConstants(graph: Graph): Constant {
  const known = new Map<string, Value>();
  return (dataType, dims, values) => {
    const key = `${dataType} ${dims.join('×')} ${values.join(' ')}`;
    let value = known.get(key);
    if (value === undefined) {
      const data = dataType === INT32 ? Int32Array.from(values) : BigInt64Array.from(values, BigInt);
      const name = graph.uniqueName('max-pool-by-windows.numbers');
      known.set(key, (value = graph.addInitializer(Tensor.of(name, dataType, dims, new Uint8Array(data.buffer)))));
    }
    return value;
  };
}
