import { describe, expect, it } from 'vitest';
import { readModel } from '../../src/graph/read.js';
import { modelBytes } from '../../src/graph/write.js';
import { inferShapes } from '../../src/ops/infer.js';
import { fillNormal, randomStream } from '../../src/random.js';
import { foldWeights } from '../../src/rewrite/fold-weights.js';
import { findLayers } from '../../src/rewrite/layers.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { buildModel, type TestInitializer, type TestNode } from '../support/models.js';

const driver = await loadDriver();

const normal = (name: string, dims: readonly number[]): TestInitializer => {
  const data = new Float32Array(dims.reduce((product, dim) => product * dim, 1));
  fillNormal(randomStream(1, name), data, 0);
  return { name, dims, data };
};
const axes: TestInitializer = { name: 'axes', type: 'int64', dims: [3], data: BigInt64Array.of(1n, 2n, 3n) };

/** A convolution of x [1, 3, 6, 6] whose weight [8, 3, 3, 3], 'w', is what the nodes make of it. */
function convolution(nodes: readonly TestNode[], initializers: readonly TestInitializer[]): Uint8Array {
  return buildModel({
    inputs: [{ name: 'x', dims: [1, 3, 6, 6] }],
    outputs: [{ name: 'y' }],
    initializers: [...initializers, axes],
    nodes: [...nodes, { op: 'Conv', inputs: ['x', 'w'], outputs: ['y'], attributes: { kernel_shape: [3, 3] } }],
  });
}

/** (v − mean v) / |v − mean v| · gain, per output channel. */
const standardized = convolution(
  [
    { op: 'ReduceMean', inputs: ['conv.weight', 'axes'], outputs: ['mean'] },
    { op: 'Sub', inputs: ['conv.weight', 'mean'], outputs: ['centered'] },
    { op: 'ReduceL2', inputs: ['centered', 'axes'], outputs: ['norm'] },
    { op: 'Div', inputs: ['centered', 'norm'], outputs: ['unit'] },
    { op: 'Mul', inputs: ['unit', 'gain'], outputs: ['w'] },
  ],
  [normal('conv.weight', [8, 3, 3, 3]), normal('gain', [8, 1, 1, 1])],
);

async function outputs(bytes: Uint8Array): Promise<number[]> {
  const session = await driver.createSession(bytes, { graphOptimization: 'disabled' });
  try {
    const { data } = normal('x', [1, 3, 6, 6]);
    const result = await session.run({ x: { type: 'float32', dims: [1, 3, 6, 6], data: data as Float32Array } });
    return [...(result['y']!.data as Float32Array)];
  } finally {
    await session.close();
  }
}

describe('weights that are computed of stored tensors', () => {
  it('are stored as every run computes them, under the name of what they are made of, and are layers', async () => {
    const model = readModel(standardized);
    expect(findLayers(model.graph, inferShapes(model))[0]).toMatchObject({ kind: 'fixed' });
    expect(await foldWeights(model, () => Promise.resolve(driver), {})).toBe(1);
    expect(model.graph.nodes.map(({ opType }) => opType)).toEqual(['Conv']);
    expect(findLayers(model.graph, inferShapes(model))[0]).toMatchObject({
      kind: 'factorizable',
      weightName: 'conv.weight',
    });
    expect(await outputs(modelBytes(model))).toEqual(await outputs(standardized));
  });

  const stay: readonly [string, Uint8Array][] = [
    [
      'drawn anew in every run',
      convolution(
        [
          { op: 'RandomNormalLike', inputs: ['v'], outputs: ['noise'] },
          { op: 'Add', inputs: ['v', 'noise'], outputs: ['w'] },
        ],
        [normal('v', [8, 3, 3, 3])],
      ),
    ],
    [
      'made of the images',
      convolution(
        [
          { op: 'ReduceMean', inputs: ['x'], outputs: ['mean'] },
          { op: 'Mul', inputs: ['v', 'mean'], outputs: ['w'] },
        ],
        [normal('v', [8, 3, 3, 3])],
      ),
    ],
    [
      'stored quantized',
      convolution(
        [{ op: 'DequantizeLinear', inputs: ['v', 'scale'], outputs: ['w'] }],
        [
          { name: 'v', type: 'int8', dims: [8, 3, 3, 3], data: new Int8Array(216).fill(3) },
          { name: 'scale', dims: [], data: Float32Array.of(0.1) },
        ],
      ),
    ],
    [
      'stored in another layout',
      convolution([{ op: 'Identity', inputs: ['v'], outputs: ['w'] }], [normal('v', [8, 3, 3, 3])]),
    ],
  ];
  it.each(stay)('stay where they are %s', async (_, bytes) => {
    const model = readModel(bytes);
    const before = Buffer.from(modelBytes(model));
    expect(await foldWeights(model, () => Promise.resolve(driver), {})).toBe(0);
    expect(before.equals(Buffer.from(modelBytes(model)))).toBe(true);
  });
});
