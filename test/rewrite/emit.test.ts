import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addFactorWeights, emitFactors } from '../../src/rewrite/emit.js';
import { matrixShape, schemesOf } from '../../src/rewrite/geometry.js';
import { findLayers, type FactorizableLayer } from '../../src/rewrite/layers.js';
import { fromKernels, isOutputMajor, joinFactors, splitPair, toKernels, toMatrix } from '../../src/rewrite/layout.js';
import { randomFloats } from '../../src/rewrite/samples.js';
import type { FactorPair } from '../../src/rewrite/types.js';
import { checkModel } from '../../src/graph/check.js';
import { readModel } from '../../src/graph/read.js';
import { modelBytes } from '../../src/graph/write.js';
import { inferShapes } from '../../src/ops/infer.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { createLinalg } from '../../src/linalg/linalg.js';
import { buildModel, type TestModel } from '../support/models.js';
import type { Matrix } from '../../src/linalg/types.js';

const seed = 20261121;
const driver = await loadDriver();

/** W = W · I or I · W, whichever identity is smaller: exact at full rank without any fitting. */
function trivialPair(weight: Matrix, inputs: number): FactorPair {
  const { rows, cols } = weight;
  const identity = identityOf(Math.min(rows, cols));
  const pair = cols <= rows ? { left: weight, right: identity } : { left: identity, right: weight };
  return { ...pair, inner: { basis: identityOf(inputs), core: pair.right } };
}

function identityOf(size: number): Matrix {
  const data = new Float32Array(size * size);
  for (let i = 0; i < size; i++) data[i * size + i] = 1;
  return { rows: size, cols: size, data };
}

async function output(bytes: Uint8Array, x: Float32Array, dims: readonly number[]): Promise<Float32Array> {
  const session = await driver.createSession(bytes);
  try {
    const result = await session.run({ x: { type: 'float32', dims, data: x } });
    return result['y']!.data as Float32Array;
  } finally {
    await session.close();
  }
}

/**
 * Replaces the only layer by an exact pair in every scheme and compares. Both sum the same products in another order, so
 * they differ by rounding: at most terms · 2^-24 of the largest magnitude, and less than 1e-5 for the sizes here.
 */
async function expectExact(model: TestModel, inputDims: readonly number[]): Promise<number> {
  const bytes = buildModel(model);
  const x = randomFloats(
    inputDims.reduce((product, dim) => product * dim, 1),
    seed,
    'x',
  );
  const before = await output(bytes, x, inputDims);
  const largest = before.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const read = (): { model: ReturnType<typeof readModel>; layer: FactorizableLayer } => {
    const copy = readModel(bytes);
    const layer = findLayers(copy.graph, inferShapes(copy))[0];
    if (layer?.kind !== 'factorizable') throw new Error(`not factorizable: ${layer?.reason}`);
    return { model: copy, layer };
  };
  let schemes = 0;
  for (const scheme of schemesOf(read().layer.geometry, read().layer.form !== 'conv')) {
    const { model: copy, layer } = read();
    const transB = layer.node.int('transB', 0);
    const matrix = toMatrix(layer.weight.data(), layer.geometry, scheme, isOutputMajor(layer.form, transB));
    const kernels = toKernels(
      splitPair(trivialPair(matrix, layer.geometry.in), scheme),
      layer.geometry,
      scheme,
      layer.form,
      transB,
    );
    emitFactors(copy, layer, scheme, addFactorWeights(copy, layer, scheme, kernels));
    checkModel(copy);
    const after = await output(modelBytes(copy), x, inputDims);
    expect(after.length).toBe(before.length);
    const difference = before.reduce((most, value, i) => Math.max(most, Math.abs(value - after[i]!)), 0);
    expect(difference).toBeLessThanOrEqual(1e-5 * Math.max(largest, 1e-3));
    schemes++;
  }
  return schemes;
}

function weights(dims: readonly number[], name: string): Float32Array {
  return randomFloats(
    dims.reduce((product, dim) => product * dim, 1),
    seed,
    name,
  );
}

describe(`a full-rank pair computes what its layer does (seed ${seed})`, () => {
  const conv = fc.record({
    in: fc.integer({ min: 1, max: 5 }),
    out: fc.integer({ min: 1, max: 6 }),
    kernel: fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 })),
    strides: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
    dilations: fc.tuple(fc.integer({ min: 1, max: 2 }), fc.integer({ min: 1, max: 2 })),
    pads: fc.tuple(
      ...([0, 1, 2, 3].map(() => fc.integer({ min: 0, max: 2 })) as [
        fc.Arbitrary<number>,
        fc.Arbitrary<number>,
        fc.Arbitrary<number>,
        fc.Arbitrary<number>,
      ]),
    ),
    autoPad: fc.constantFrom('NOTSET', 'SAME_UPPER', 'SAME_LOWER', 'VALID'),
    size: fc.tuple(fc.integer({ min: 8, max: 13 }), fc.integer({ min: 8, max: 13 })),
    batch: fc.integer({ min: 1, max: 2 }),
    bias: fc.boolean(),
    opset: fc.integer({ min: 7, max: 21 }),
    irVersion: fc.constantFrom(3, 4, 8),
  });

  it('Conv: kernel × stride × pad × dilation × auto_pad × scheme', async () => {
    await fc.assert(
      fc.asyncProperty(conv, async (c) => {
        // onnxruntime refuses auto_pad SAME with dilations.
        const dilations = c.autoPad.startsWith('SAME') ? ([1, 1] as const) : c.dilations;
        const weightDims = [c.out, c.in, ...c.kernel];
        await expectExact(
          {
            opset: c.opset,
            irVersion: c.irVersion,
            inputs: [
              { name: 'x', dims: [c.batch, c.in, ...c.size] },
              ...(c.irVersion < 4
                ? [{ name: 'w', dims: weightDims }, ...(c.bias ? [{ name: 'b', dims: [c.out] }] : [])]
                : []),
            ],
            outputs: [{ name: 'y' }],
            initializers: [
              { name: 'w', dims: weightDims, data: weights(weightDims, 'w') },
              ...(c.bias ? [{ name: 'b', dims: [c.out], data: weights([c.out], 'b') }] : []),
            ],
            nodes: [
              {
                op: 'Conv',
                inputs: c.bias ? ['x', 'w', 'b'] : ['x', 'w'],
                outputs: ['y'],
                attributes: {
                  kernel_shape: c.kernel,
                  strides: c.strides,
                  dilations,
                  ...(c.autoPad === 'NOTSET' ? { pads: c.pads } : { auto_pad: c.autoPad }),
                },
              },
            ],
          },
          [c.batch, c.in, ...c.size],
        );
      }),
      { seed, numRuns: 60 },
    );
  });

  const gemm = fc.record({
    in: fc.integer({ min: 1, max: 9 }),
    out: fc.integer({ min: 1, max: 9 }),
    batch: fc.integer({ min: 1, max: 4 }),
    transA: fc.boolean(),
    transB: fc.boolean(),
    alpha: fc.constantFrom(1, 0.5, -2),
    beta: fc.constantFrom(1, 0.25),
    opset: fc.constantFrom(7, 9, 11, 13, 17, 21),
    bias: fc.boolean(),
  });

  it('Gemm: transA × transB × alpha × beta × bias', async () => {
    await fc.assert(
      fc.asyncProperty(gemm, async (g) => {
        // Before opset 11 C is required.
        const bias = g.bias || g.opset < 11;
        const weightDims = g.transB ? [g.out, g.in] : [g.in, g.out];
        const inputDims = g.transA ? [g.in, g.batch] : [g.batch, g.in];
        const schemes = await expectExact(
          {
            opset: g.opset,
            inputs: [{ name: 'x', dims: inputDims }],
            outputs: [{ name: 'y' }],
            initializers: [
              { name: 'w', dims: weightDims, data: weights(weightDims, 'w') },
              ...(bias ? [{ name: 'b', dims: [g.out], data: weights([g.out], 'b') }] : []),
            ],
            nodes: [
              {
                op: 'Gemm',
                inputs: bias ? ['x', 'w', 'b'] : ['x', 'w'],
                outputs: ['y'],
                attributes: {
                  transA: g.transA ? 1 : 0,
                  transB: g.transB ? 1 : 0,
                  alpha: { float: g.alpha },
                  beta: { float: g.beta },
                },
              },
            ],
          },
          inputDims,
        );
        expect(schemes).toBe(1);
      }),
      { seed, numRuns: 40 },
    );
  });

  it.each([
    ['x · W', ['x', 'w'], [2, 3, 7], [7, 5]],
    ['W · x', ['w', 'x'], [2, 7, 3], [5, 7]],
  ] as const)('MatMul %s', async (_, inputs, inputDims, weightDims) => {
    await expectExact(
      {
        inputs: [{ name: 'x', dims: inputDims }],
        outputs: [{ name: 'y' }],
        initializers: [{ name: 'w', dims: weightDims, data: weights(weightDims, 'w') }],
        nodes: [{ op: 'MatMul', inputs, outputs: ['y'] }],
      },
      inputDims,
    );
  });
});

describe('layouts', () => {
  const geometry = fc.record({
    out: fc.integer({ min: 1, max: 5 }),
    in: fc.integer({ min: 1, max: 5 }),
    kernel: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
  });

  it('fromKernels ∘ toKernels is the identity', async () => {
    const linalg = await createLinalg({ driver });
    await fc.assert(
      fc.asyncProperty(geometry, fc.constantFrom('spatial', 'channel'), async (g, scheme) => {
        const full = { ...g, inputSize: [4, 4], outputSize: [4, 4], batch: 1 } as const;
        const { rows, cols } = matrixShape(full, scheme);
        const pair: FactorPair = {
          left: { rows, cols: 3, data: weights([rows, 3], 'left') },
          right: { rows: 3, cols, data: weights([3, cols], 'right') },
        };
        const kernels = toKernels(splitPair(pair, scheme), full, scheme, 'conv', 0);
        expect(await joinFactors(fromKernels(kernels, 'conv', 0), linalg)).toEqual(pair);
      }),
      { seed },
    );
    await linalg.close();
  });
});
