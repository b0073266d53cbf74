import { describe, expect, it } from 'vitest';
import { readModel } from '../../../src/graph/read.js';
import { modelBytes } from '../../../src/graph/write.js';
import { maxPoolByWindows } from '../../../src/lower/cuda/max-pool-by-windows.js';
import { runPasses } from '../../../src/passes/runner.js';
import { loadDriver } from '../../../src/runtime/driver.js';
import type { RuntimeTensor } from '../../../src/runtime/types.js';
import { buildModel, type TestAttribute } from '../../support/models.js';
import { randomOf } from '../../support/mutate.js';

interface PoolCase {
  readonly dims: readonly number[];
  readonly attributes: Readonly<Record<string, TestAttribute>>;
  readonly type?: 'float32' | 'float16';
}

const square = (kernel: number, stride: number, ...pads: number[]): PoolCase['attributes'] => ({
  kernel_shape: [kernel, kernel],
  strides: [stride, stride],
  ...(pads.length === 0 ? {} : { pads }),
});

const cases: readonly PoolCase[] = [
  { dims: [2, 3, 12, 12], attributes: square(3, 2, 1, 1, 1, 1) }, // ResNet
  { dims: [2, 3, 8, 8], attributes: square(2, 2) }, // VGG
  { dims: [2, 3, 9, 7], attributes: square(3, 1, 0, 1, 2, 0) },
  { dims: [1, 2, 11, 9], attributes: { ...square(3, 2, 2, 2, 2, 2), dilations: [2, 3] } },
  { dims: [2, 2, 8, 7], attributes: { ...square(3, 2), ceil_mode: 1 } },
  { dims: [2, 2, 7, 7], attributes: { ...square(3, 2), auto_pad: 'SAME_UPPER' } },
  { dims: [2, 2, 8, 8], attributes: { ...square(3, 2), auto_pad: 'SAME_LOWER' } },
  { dims: [3, 2, 6, 5], attributes: { kernel_shape: [1, 3] } },
  { dims: [2, 3, 10], attributes: { kernel_shape: [4], strides: [3], pads: [1, 2] } },
  { dims: [2, 2, 5, 6, 4], attributes: { kernel_shape: [2, 3, 2], strides: [2, 1, 2], pads: [0, 1, 0, 1, 1, 0] } },
  { dims: [2, 3, 8, 8], attributes: square(2, 2), type: 'float16' },
];

/** y and indices before the pass and behind it, of numbers of which many are equal. */
async function compare({ dims, attributes, type = 'float32' }: PoolCase, seed: number, isOpen: boolean): Promise<void> {
  const model = readModel(
    buildModel({
      opset: 22,
      irVersion: 10,
      inputs: [{ name: 'x', type, dims: isOpen ? ['n', ...dims.slice(1)] : dims }],
      outputs: [
        { name: 'y', type },
        { name: 'i', type: 'int64' },
        { name: 'z', type },
      ],
      nodes: [
        { op: 'MaxPool', inputs: ['x'], outputs: ['y', 'i'], attributes },
        { op: 'MaxPool', inputs: ['x'], outputs: ['z'], attributes },
      ],
    }),
  );
  const driver = await loadDriver();
  const integer = randomOf(seed);
  const size = dims.reduce((product, dim) => product * dim, 1);
  // float16: bit patterns of 1 to 1 + 4/1024.
  const data =
    type === 'float32'
      ? Float32Array.from({ length: size }, () => integer(5) - 4)
      : Uint16Array.from({ length: size }, () => 0x3c00 + integer(5));
  const run = async (): Promise<Record<string, RuntimeTensor>> => {
    const session = await driver.createSession(modelBytes(model));
    try {
      return await session.run({ x: { type, dims, data } });
    } finally {
      await session.close();
    }
  };
  const expected = await run();
  const [result] = runPasses(model, [maxPoolByWindows]).passes;
  expect(result).toMatchObject({ changes: 2, refusals: [] });
  expect(model.graph.nodes.some((node) => node.is('MaxPool'))).toBe(false);
  const actual = await run();
  for (const name of ['y', 'i', 'z']) {
    expect(actual[name]!.dims, name).toEqual(expected[name]!.dims);
    expect(Array.from(actual[name]!.data as Float32Array), name).toEqual(
      Array.from(expected[name]!.data as Float32Array),
    );
  }
}

describe('max-pool-by-windows', () => {
  for (const [i, poolCase] of cases.entries()) {
    for (const isOpen of [false, true]) {
      const { kernel_shape: kernel, ...others } = poolCase.attributes;
      const text = `${JSON.stringify(kernel)} ${JSON.stringify(others)} over ${poolCase.dims.join('×')}`;
      it(`the same maxima and indices: ${text}${isOpen ? ', batch open' : ''}`, () => compare(poolCase, i + 1, isOpen));
    }
  }

  const pool = (opset: number, attributes: PoolCase['attributes'] = {}) =>
    readModel(
      buildModel({
        opset,
        irVersion: 10,
        inputs: [{ name: 'x', dims: [1, 1, 4, 4] }],
        outputs: [{ name: 'y' }, { name: 'i', type: 'int64' }],
        nodes: [{ op: 'MaxPool', inputs: ['x'], outputs: ['y', 'i'], attributes: { ...square(2, 2), ...attributes } }],
      }),
    );

  it('leaves nodes that CUDA has a kernel for', () => {
    expect(runPasses(pool(17), [maxPoolByWindows]).passes[0]!.changes).toBe(0);
    expect(runPasses(pool(22), [maxPoolByWindows]).passes[0]!.changes).toBe(1);
  });

  it('refuses column-major indices', () => {
    const [result] = runPasses(pool(22, { storage_order: 1 }), [maxPoolByWindows]).passes;
    expect(result!.refusals.map(({ reason }) => reason)).toEqual(['its indices are column-major']);
  });
});
