import { describe, expect, it } from 'vitest';
import { measure } from '../../../src/factorize/calibration/measure.js';
import { addProbes } from '../../../src/factorize/calibration/probe.js';
import { orderMoments, orderPatches } from '../../../src/factorize/calibration/scheme-order.js';
import { regularize } from '../../../src/factorize/calibration/regularize.js';
import { findLayers } from '../../../src/rewrite/layers.js';
import { readModel } from '../../../src/graph/read.js';
import { modelBytes } from '../../../src/graph/write.js';
import { inferShapes } from '../../../src/ops/infer.js';
import { loadDriver } from '../../../src/runtime/driver.js';
import { buildModel, type TestNode } from '../../support/models.js';
import { imagesOf } from '../support/images.js';
import { momentsOf } from '../support/layer-data.js';
import { normals } from '../support/weights.js';

const driver = await loadDriver();

interface Case {
  readonly name: string;
  readonly node: TestNode;
  readonly weight: readonly number[];
  readonly input: readonly number[];
}

const conv = (
  name: string,
  weight: readonly number[],
  input: readonly number[],
  attributes: NonNullable<TestNode['attributes']>,
): Case => ({
  name,
  weight,
  input,
  node: { op: 'Conv', inputs: ['x', 'w'], outputs: ['y'], name: 'layer', attributes },
});
const dense = (name: string, op: string, input: readonly number[]): Case => ({
  name,
  weight: [5, 4],
  input,
  node: { op, inputs: ['x', 'w'], outputs: ['y'], name: 'layer' },
});

const cases: readonly Case[] = [
  conv('Conv 3×3', [4, 2, 3, 3], [2, 2, 6, 5], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }),
  conv('Conv with strides, dilations and uneven pads', [3, 2, 3, 2], [2, 2, 9, 8], {
    kernel_shape: [3, 2],
    strides: [2, 3],
    dilations: [2, 1],
    pads: [1, 0, 2, 1],
  }),
  conv('Conv with auto_pad', [3, 2, 3, 3], [2, 2, 7, 7], { auto_pad: 'SAME_UPPER', strides: [2, 2] }),
  conv('Conv 1×1', [4, 3, 1, 1], [2, 3, 4, 4], { kernel_shape: [1, 1] }),
  conv('Conv 1×1 with strides', [4, 3, 1, 1], [2, 3, 5, 5], { kernel_shape: [1, 1], strides: [2, 2] }),
  dense('Gemm', 'Gemm', [2, 5]),
  dense('MatMul of three dimensions', 'MatMul', [2, 3, 5]),
];

async function probed(
  { node, weight, input }: Case,
  sizes: readonly number[],
  wanted: { readonly moments: number; readonly samples: number },
  seed = 1,
) {
  const count = weight.reduce((product, dim) => product * dim, 1);
  const w = Float32Array.from(normals(count, 3, 'weight').subarray(0, count));
  const model = readModel(
    buildModel({
      opset: 13,
      nodes: [node],
      initializers: [{ name: 'w', dims: weight, data: w }],
      inputs: [{ name: 'x', dims: ['n', ...input.slice(1)] }],
      outputs: [{ name: 'y' }],
    }),
  );
  const dims = [sizes[0]!, ...input.slice(1)];
  const shapes = inferShapes(model, { inputShapes: { x: dims } });
  const [layer] = findLayers(model.graph, shapes);
  if (layer?.kind !== 'factorizable') throw new Error('no layer');
  const [probe] = addProbes(model, shapes, [
    {
      layer,
      momentPositions: wanted.moments,
      inputPositions: wanted.samples,
      observed: layer.node.outputs[0]!,
      observedPositions: wanted.samples,
    },
  ]);
  const session = await driver.createSession(modelBytes(model));
  try {
    const context = { seed, mostSamples: 1000, signal: undefined };
    const measured = (await measure(session, imagesOf('x', dims, sizes), [probe!], context)).get('layer')!;
    return { layer, weight: w, measured };
  } finally {
    await session.close();
  }
}

describe.each(cases)('$name', (example) => {
  const all = { moments: 1e6, samples: 1e6 };

  it('gives the patches that the layer multiplies with', async () => {
    const { layer, weight, measured } = await probed(example, [2, 2, 1], all);
    const [inputs, observed] = [measured.inputs!, measured.observed!];
    const { out } = layer.geometry;
    expect(inputs.rows).toBe(observed.rows);
    for (let row = 0; row < inputs.rows; row++) {
      for (let neuron = 0; neuron < out; neuron++) {
        let sum = 0;
        for (let i = 0; i < inputs.cols; i++) {
          const w = layer.form === 'conv' ? weight[neuron * inputs.cols + i]! : weight[i * out + neuron]!;
          sum += w * inputs.data[row * inputs.cols + i]!;
        }
        // float32 sums of up to 18 products of numbers of order 1.
        expect(sum).toBeCloseTo(observed.data[row * out + neuron]!, 4);
      }
    }
  });

  it('sums moments over all runs as over all patches at once', async () => {
    const { measured } = await probed(example, [2, 2, 1], all);
    const expected = momentsOf(measured.inputs!);
    expect(measured.moments!.count).toBe(measured.inputs!.rows);
    measured.moments!.second.data.forEach((value, i) => expect(value).toBeCloseTo(expected.second.data[i]!, 5));
    measured.moments!.mean.forEach((value, i) => expect(value).toBeCloseTo(expected.mean[i]!, 5));
  });
});

describe('positions that are drawn', () => {
  const example = cases[0]!;

  it('are as many as asked for in every image, no two the same, and decided by the seed', async () => {
    const wanted = { moments: 7, samples: 5 };
    const { measured } = await probed(example, [3, 3, 1], wanted);
    expect(measured.moments!.count).toBe(7 * 7);
    const [inputs, observed] = [measured.inputs!, measured.observed!];
    expect([inputs.rows, observed.rows]).toEqual([7 * 5, 7 * 5]);
    for (let image = 0; image < 7; image++) {
      const rows = Array.from({ length: 5 }, (_, k) =>
        String(observed.data.subarray((image * 5 + k) * 4, (image * 5 + k + 1) * 4)),
      );
      expect(new Set(rows).size).toBe(5);
    }
    const again = await probed(example, [3, 3, 1], wanted);
    expect(again.measured).toEqual(measured);
    // The batch size does not matter for which.
    const otherBatch = await probed(example, [7], wanted);
    const otherSeed = await probed(example, [3, 3, 1], wanted, 2);
    expect(otherBatch.measured.inputs).toEqual(inputs);
    expect(otherSeed.measured.inputs).not.toEqual(inputs);
  });

  it('end where enough samples are kept', async () => {
    const sizes = Array.from({ length: 60 }, () => 2);
    const { measured } = await probed(example, sizes, { moments: 1, samples: 20 });
    expect(measured.inputs!.rows).toBe(1000);
    expect(measured.moments!.count).toBe(120);
  });
});

describe('the order of a scheme', () => {
  it('is that of the rows of its matrix', () => {
    const geometry = { out: 1, in: 2, kernel: [3, 2], inputSize: [1, 1], outputSize: [1, 1], batch: 1 } as const;
    const patches = { rows: 1, cols: 12, data: Float32Array.from({ length: 12 }, (_, i) => i) };
    const ordered = orderPatches(patches, geometry, 'spatial');
    // (in·kh + y)·kw + x as y, in, x.
    expect([...ordered.data]).toEqual([0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11]);
    expect(orderPatches(patches, geometry, 'channel')).toBe(patches);
    expect(orderMoments(momentsOf(patches), geometry, 'spatial')).toEqual(momentsOf(ordered));
  });
});

describe('regularized moments', () => {
  const data = Float32Array.from({ length: 15 }, (_, i) => (i % 5 === 4 ? 0 : Math.sin(i)));
  const moments = momentsOf({ rows: 3, cols: 5, data });

  it('keep the trace and leave no direction without weight, however few patches there are', () => {
    const { second, shrinkage } = regularize(moments);
    const trace = (values: Float64Array): number => [0, 1, 2, 3, 4].reduce((sum, i) => sum + values[i * 6]!, 0);
    expect(trace(second.data)).toBeCloseTo(trace(moments.second.data), 12);
    expect(second.data[24]).toBeCloseTo((shrinkage * trace(moments.second.data)) / 5, 12);
    expect(shrinkage).toBeGreaterThan(0);
    expect(shrinkage).toBeLessThanOrEqual(1);
  });

  it('are nearly what was measured where there are many', () => {
    expect(regularize({ ...moments, count: 1e7 }).shrinkage).toBeLessThan(1e-5);
  });

  it('are I where there is nothing but zeros', () => {
    const { second } = regularize(momentsOf({ rows: 4, cols: 2, data: new Float32Array(8) }));
    expect([...second.data]).toEqual([1, 0, 0, 1]);
  });
});
