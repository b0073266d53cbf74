import { describe, expect, it } from 'vitest';
import * as ort from 'onnxruntime-node';
import { ints } from '../../src/graph/attributes.js';
import type { Model } from '../../src/graph/model.js';
import { readModel } from '../../src/graph/read.js';
import { modelBytes } from '../../src/graph/write.js';
import { inferShapes } from '../../src/ops/infer.js';
import { openBatch } from '../../src/passes/open-batch.js';
import { buildModel, type TestInitializer, type TestModel, type TestNode } from '../support/models.js';

interface Case {
  readonly batch: number | string;
  /** Shape of the Reshape of x [batch, 3, 4, 4], or of its Transpose to [3, batch, 4, 4]. */
  readonly target: readonly number[];
  readonly allowZero?: number;
  readonly isTransposed?: boolean;
}

function reshapeModel({ batch, target, allowZero = 0, isTransposed = false }: Case): Model {
  return readModel(
    buildModel({
      inputs: [{ name: 'x', dims: [batch, 3, 4, 4] }],
      outputs: [{ name: 'y' }],
      initializers: [int64('shape', target)],
      nodes: [
        isTransposed
          ? { op: 'Transpose', inputs: ['x'], outputs: ['t'], attributes: { perm: [1, 0, 2, 3] } }
          : { op: 'Relu', inputs: ['x'], outputs: ['t'] },
        { op: 'Reshape', inputs: ['t', 'shape'], outputs: ['y'], attributes: { allowzero: allowZero } },
      ],
    }),
  );
}

function int64(name: string, values: readonly number[], dims: readonly number[] = [values.length]): TestInitializer {
  return { name, type: 'int64', dims, data: BigInt64Array.from(values, BigInt) };
}

describe('a Reshape to a fixed batch', () => {
  const cases: readonly [string, Case, readonly number[]][] = [
    ['all dimensions named', { batch: 1, target: [1, 48] }, [5, 48]],
    ['another batch than 1', { batch: 8, target: [8, 3, 16] }, [5, 3, 16]],
    ['one is what is left', { batch: 1, target: [1, -1] }, [5, 48]],
    ['zeros are allowed', { batch: 1, target: [1, 3, 16], allowZero: 1 }, [5, 3, 16]],
    ['the batch is not first', { batch: 2, target: [3, 2, 16], isTransposed: true }, [3, 5, 16]],
    ['an open model that holds a batch of 1', { batch: 'n', target: [1, 48] }, [5, 48]],
    ['an open model where 1 is meant', { batch: 'n', target: [1, -1, 4, 4] }, [1, 15, 4, 4]],
  ];
  it.each(cases)('%s', (_, example, expected) => {
    const model = reshapeModel(example);
    // The images of a transposed model end at another axis, where no output may hold them.
    if (example.isTransposed === true) {
      const { graph } = model;
      const back = graph.addValue('back');
      const [y] = graph.outputs.splice(0);
      y!.isOutput = false;
      graph.addNode({ opType: 'Transpose', inputs: [y!], outputs: [back], attributes: { perm: ints([1, 0, 2]) } });
      graph.addOutput(back);
    }
    expect(openBatch(model, model.graph.inputs[0]!)).toBeUndefined();
    expect(inferShapes(model, { inputShapes: { x: [5, 3, 4, 4] } }).require(model.graph.value('y')!).dims).toEqual(
      expected,
    );
  });

  it.each([[[2, 3, 16]], [[2, -1]]])('one that takes elements of several images for one is refused: [%s]', (target) => {
    const model = reshapeModel({ batch: 2, target, isTransposed: true });
    const before = Buffer.from(modelBytes(model));
    expect(openBatch(model, model.graph.inputs[0]!)?.message).toMatch(
      /^\[3, 2, 4, 4\] as .* mixes images; Reshape 'y'$/,
    );
    expect(before.equals(Buffer.from(modelBytes(model)))).toBe(true);
  });
});

/** Images [2, 4] and what is computed of them for a fixed number of images. */
interface Graph extends Pick<TestModel, 'nodes' | 'initializers' | 'opset'> {
  readonly dims?: readonly number[];
}

const floats = (name: string, dims: readonly number[]): TestInitializer => {
  const size = dims.reduce((product, dim) => product * dim, 1);
  return { name, dims, data: Float32Array.from({ length: size }, (_, i) => Math.sin(3 * i + name.length)) };
};

const graphs: readonly [string, Graph][] = [
  [
    'a class token beside the patches, the attention of heads, tokens first',
    {
      initializers: [
        floats('token', [1, 1, 4]),
        floats('position', [1, 3, 4]),
        floats('w', [4, 12]),
        int64('heads', [3, 2, 2]),
        int64('joined', [3, 4]),
        int64('apart', [3, 1, 4]),
        int64('qkv', [3, 1, 3, 4]),
        int64('zero', [0], []),
        int64('one', [1], []),
        int64('two', [2], []),
      ],
      nodes: [
        { op: 'Concat', inputs: ['token', 'x'], outputs: ['c'], attributes: { axis: 1 } },
        { op: 'Add', inputs: ['c', 'position'], outputs: ['p'] },
        { op: 'MatMul', inputs: ['p', 'w'], outputs: ['m'] },
        { op: 'Transpose', inputs: ['m'], outputs: ['t'], attributes: { perm: [1, 0, 2] } },
        { op: 'Reshape', inputs: ['t', 'qkv'], outputs: ['three'] },
        ...['q', 'k', 'v'].flatMap((name, i): TestNode[] => [
          { op: 'Gather', inputs: ['three', ['zero', 'one', 'two'][i]!], outputs: [name], attributes: { axis: 2 } },
          { op: 'Reshape', inputs: [name, 'heads'], outputs: [`${name}h`] },
          {
            op: 'Transpose',
            inputs: [`${name}h`],
            outputs: [`${name}t`],
            attributes: { perm: name === 'k' ? [1, 2, 0] : [1, 0, 2] },
          },
        ]),
        { op: 'MatMul', inputs: ['qt', 'kt'], outputs: ['s'] },
        { op: 'Softmax', inputs: ['s'], outputs: ['a'], attributes: { axis: -1 } },
        { op: 'MatMul', inputs: ['a', 'vt'], outputs: ['o'] },
        { op: 'Transpose', inputs: ['o'], outputs: ['ot'], attributes: { perm: [1, 0, 2] } },
        { op: 'Reshape', inputs: ['ot', 'joined'], outputs: ['rows'] },
        { op: 'Reshape', inputs: ['rows', 'apart'], outputs: ['back'] },
        { op: 'Transpose', inputs: ['back'], outputs: ['y'], attributes: { perm: [1, 0, 2] } },
      ],
    },
  ],
  [
    'windows, their mask, and back',
    {
      dims: [1, 4, 4, 2],
      initializers: [
        int64('split', [1, 2, 2, 2, 2, 2]),
        int64('windows', [4, 4, 2]),
        int64('masked', [1, 4, 4, 2]),
        floats('mask', [1, 4, 4, 1]),
        int64('whole', [1, 4, 4, 2]),
      ],
      nodes: [
        { op: 'Reshape', inputs: ['x', 'split'], outputs: ['s'] },
        { op: 'Transpose', inputs: ['s'], outputs: ['t'], attributes: { perm: [0, 1, 3, 2, 4, 5] } },
        { op: 'Reshape', inputs: ['t', 'windows'], outputs: ['w'] },
        { op: 'Softmax', inputs: ['w'], outputs: ['a'], attributes: { axis: 1 } },
        { op: 'Reshape', inputs: ['a', 'masked'], outputs: ['b'] },
        { op: 'Mul', inputs: ['b', 'mask'], outputs: ['m'] },
        { op: 'Reshape', inputs: ['m', 'split'], outputs: ['r'] },
        { op: 'Transpose', inputs: ['r'], outputs: ['u'], attributes: { perm: [0, 1, 3, 2, 4, 5] } },
        { op: 'Reshape', inputs: ['u', 'whole'], outputs: ['y'] },
      ],
    },
  ],
  [
    'channels as a signal, expanded to the map, the mean of which is taken by a strided view',
    {
      dims: [1, 3, 2, 2],
      initializers: [
        int64('axes', [2, 3]),
        int64('signal', [1, 1, -1]),
        floats('w', [1, 1, 3]),
        int64('map', [1, -1, 1, 1]),
        int64('size', [1, 3, 2, 2]),
        int64('flat', [-1]),
        int64('view', [0, 1, 2], [1, 3, 1]),
        int64('row', [1, 3]),
      ],
      nodes: [
        { op: 'ReduceMean', inputs: ['x', 'axes'], outputs: ['mean'], attributes: { keepdims: 0 } },
        { op: 'Reshape', inputs: ['mean', 'signal'], outputs: ['s'] },
        { op: 'Conv', inputs: ['s', 'w'], outputs: ['c'], attributes: { pads: [1, 1] } },
        { op: 'Reshape', inputs: ['c', 'map'], outputs: ['m'] },
        { op: 'Expand', inputs: ['m', 'size'], outputs: ['e'] },
        { op: 'Mul', inputs: ['x', 'e'], outputs: ['scaled'] },
        { op: 'ReduceMean', inputs: ['scaled', 'axes'], outputs: ['r'] },
        { op: 'Reshape', inputs: ['r', 'flat'], outputs: ['f'] },
        { op: 'Gather', inputs: ['f', 'view'], outputs: ['g'], attributes: { axis: 0 } },
        { op: 'Reshape', inputs: ['g', 'row'], outputs: ['y'] },
      ],
    },
  ],
  [
    'resized, cut out of all images, and put beside a tensor of the code',
    {
      dims: [1, 2, 4, 4],
      initializers: [
        { name: 'none', dims: [0], data: new Float32Array(0) },
        int64('sizes', [1, 2, 8, 8]),
        int64('from', [0, 1, 1]),
        int64('to', [1, 2, 7]),
        int64('axes', [0, 1, 3]),
        floats('other', [1, 1, 8, 6]),
      ],
      nodes: [
        { op: 'Resize', inputs: ['x', 'none', 'none', 'sizes'], outputs: ['r'], attributes: { mode: 'linear' } },
        { op: 'Slice', inputs: ['r', 'from', 'to', 'axes'], outputs: ['s'] },
        { op: 'Concat', inputs: ['s', 'other'], outputs: ['y'], attributes: { axis: 1 } },
      ],
    },
  ],
  [
    'every axis of 1 squeezed, and the image of the batch picked',
    {
      dims: [1, 3, 1, 2],
      initializers: [int64('zero', [0], []), floats('w', [3, 2]), int64('row', [1, 6])],
      nodes: [
        { op: 'Squeeze', inputs: ['x'], outputs: ['s'] },
        { op: 'Relu', inputs: ['s'], outputs: ['r'] },
        { op: 'Reshape', inputs: ['r', 'row'], outputs: ['two'] },
        { op: 'Gather', inputs: ['two', 'zero'], outputs: ['g'], attributes: { axis: 0 } },
        { op: 'Reshape', inputs: ['g', 'row'], outputs: ['y'] },
      ],
    },
  ],
  [
    'a batch of two with a table that is repeated by its size',
    {
      dims: [2, 3, 4],
      initializers: [floats('token', [1, 1, 4]), int64('size', [2, 1, 4]), floats('w', [4, 5])],
      nodes: [
        { op: 'Shape', inputs: ['x'], outputs: ['dims'] },
        { op: 'Gather', inputs: ['dims', 'first'], outputs: ['n'], attributes: { axis: 0 } },
        { op: 'Concat', inputs: ['n', 'rest'], outputs: ['target'], attributes: { axis: 0 } },
        { op: 'Expand', inputs: ['token', 'target'], outputs: ['e'] },
        { op: 'Concat', inputs: ['e', 'x'], outputs: ['c'], attributes: { axis: 1 } },
        { op: 'MatMul', inputs: ['c', 'w'], outputs: ['y'] },
      ],
    },
  ],
];

const refused: readonly [string, Graph, RegExp][] = [
  [
    'a mean over the batch',
    { initializers: [int64('axes', [0])], nodes: [{ op: 'ReduceMean', inputs: ['x', 'axes'], outputs: ['y'] }] },
    /reduces over the batch; ReduceMean 'y'/,
  ],
  [
    'a softmax over the batch',
    { nodes: [{ op: 'Softmax', inputs: ['x'], outputs: ['y'], attributes: { axis: 0 } }] },
    /computes along the batch/,
  ],
  [
    'images that meet in a product',
    {
      initializers: [int64('rows', [2, 4])],
      nodes: [
        { op: 'Reshape', inputs: ['x', 'rows'], outputs: ['r'] },
        { op: 'Transpose', inputs: ['r'], outputs: ['t'] },
        { op: 'MatMul', inputs: ['r', 't'], outputs: ['y'] },
      ],
    },
    /each image meets every other/,
  ],
  [
    'a table with a row for each image',
    {
      dims: [2, 2, 4],
      initializers: [floats('table', [2, 2, 4])],
      nodes: [{ op: 'Add', inputs: ['x', 'table'], outputs: ['y'] }],
    },
    /'table' has 2 elements along the batch/,
  ],
  [
    'a number that is computed of how many images there are',
    {
      nodes: [
        { op: 'Size', inputs: ['x'], outputs: ['n'] },
        { op: 'Cast', inputs: ['n'], outputs: ['f'], attributes: { to: 1 } },
        { op: 'Div', inputs: ['x', 'f'], outputs: ['y'] },
      ],
    },
    /of the size of the batch/,
  ],
  [
    'an operator that nothing is known of',
    { nodes: [{ op: 'Custom', domain: 'own', inputs: ['x'], outputs: ['y'] }] },
    /nothing says whether Custom mixes images/,
  ],
  [
    'another of several images',
    {
      dims: [2, 2, 4],
      initializers: [int64('at', [1])],
      nodes: [{ op: 'Gather', inputs: ['x', 'at'], outputs: ['y'], attributes: { axis: 0 } }],
    },
    /takes some images/,
  ],
];

function modelOf({ dims = [1, 2, 4], nodes, initializers = [], opset = 18 }: Graph): Uint8Array {
  return buildModel({
    inputs: [{ name: 'x', dims }],
    outputs: [{ name: 'y' }],
    initializers: [...initializers, int64('first', [0]), int64('rest', [1, 4])],
    nodes,
    opset,
  });
}

describe('a batch that is baked in', () => {
  it.each(graphs)('%s: each image gives what it gave', async (_, graph) => {
    const { dims = [1, 2, 4] } = graph;
    const bytes = modelOf(graph);
    const model = readModel(bytes);
    expect(openBatch(model, model.graph.inputs[0]!)).toBeUndefined();
    const [original, opened] = await Promise.all(
      [bytes, modelBytes(model)].map((file) => ort.InferenceSession.create(file)),
    );
    const [batch, ...rest] = dims;
    const size = rest.reduce((product, dim) => product * dim, 1);
    const count = 6;
    const images = Float32Array.from({ length: count * size }, (_unused, i) => Math.cos(i * i + 1));
    const run = async (session: ort.InferenceSession, first: number, number: number): Promise<number[]> => {
      const data = images.slice(first * size, (first + number) * size);
      const { y } = await session.run({ x: new ort.Tensor('float32', data, [number, ...rest]) });
      return [...(y!.data as Float32Array)];
    };
    const apart: number[] = [];
    for (let first = 0; first < count; first += batch!) apart.push(...(await run(original!, first, batch!)));
    const together = await run(opened!, 0, count);
    expect(together).toHaveLength(apart.length);
    // Sums of a few products of float32.
    together.forEach((value, i) => expect(Math.abs(value - apart[i]!)).toBeLessThan(1e-5));
  });

  it.each(refused)('%s: it stays, and says why', (_, graph, why) => {
    const model = readModel(modelOf(graph));
    const before = Buffer.from(modelBytes(model));
    expect(openBatch(model, model.graph.inputs[0]!)?.message).toMatch(why);
    expect(before.equals(Buffer.from(modelBytes(model)))).toBe(true);
  });
});
