import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import type { ConvolutionScheme } from '../../src/contracts/convert.js';
import { convert } from '../../src/convert/convert.js';
import type { ConvertOptions } from '../../src/convert/options.js';
import { checkModel } from '../../src/graph/check.js';
import { readModel } from '../../src/graph/read.js';
import { inspect } from '../../src/inspect/inspect.js';
import { merge } from '../../src/merge/merge.js';
import { inferShapes } from '../../src/ops/infer.js';
import { findLayers } from '../../src/rewrite/layers.js';
import { randomFloats } from '../../src/rewrite/samples.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { buildModel, type TestAttribute, type TestModel } from '../support/models.js';

const seed = 20261130;
const driver = await loadDriver();
const folder = mkdtempSync(join(tmpdir(), 'lowrank-kinds-'));
afterAll(() => rmSync(folder, { recursive: true }));

const sizeOf = (dims: readonly number[]): number => dims.reduce((product, dim) => product * dim, 1);

interface Case {
  readonly op: 'Conv' | 'ConvTranspose';
  readonly group: number;
  readonly in: number;
  readonly out: number;
  readonly kernel: readonly number[];
  readonly size: readonly number[];
  readonly attributes: Readonly<Record<string, TestAttribute>>;
  readonly bias: boolean;
}

/** One layer; the channels are those of each group. */
function modelOf({ op, group, in: inputs, out, kernel, size, attributes, bias }: Case): TestModel {
  const dims = op === 'Conv' ? [out * group, inputs, ...kernel] : [inputs * group, out, ...kernel];
  const data = (name: string, shape: readonly number[]): Float32Array => randomFloats(sizeOf(shape), seed, name);
  return {
    opset: 13,
    inputs: [{ name: 'x', dims: [2, inputs * group, ...size] }],
    outputs: [{ name: 'y' }],
    initializers: [
      { name: 'w', dims, data: data('w', dims) },
      ...(bias ? [{ name: 'b', dims: [out * group], data: data('b', [out * group]) }] : []),
    ],
    nodes: [
      {
        op,
        name: 'layer',
        inputs: bias ? ['x', 'w', 'b'] : ['x', 'w'],
        outputs: ['y'],
        attributes: { ...attributes, group },
      },
    ],
  };
}

async function outputOf(bytes: Uint8Array, dims: readonly number[]): Promise<Float32Array> {
  const session = await driver.createSession(bytes);
  try {
    const x = { type: 'float32', dims, data: randomFloats(sizeOf(dims), seed, 'x') } as const;
    return (await session.run({ x }))['y']!.data as Float32Array;
  } finally {
    await session.close();
  }
}

function relativeError(one: Float32Array, other: Float32Array): number {
  expect(one.length).toBe(other.length);
  let [error, norm] = [0, 0];
  for (let at = 0; at < one.length; at++) {
    error += (one[at]! - other[at]!) ** 2;
    norm += other[at]! ** 2;
  }
  return Math.sqrt(error / Math.max(norm, 1e-30));
}

/** Converts the layer at full rank and at rank 1 by a scheme, looks at what is written, and merges it back. */
async function requireExact(kind: Case, scheme: ConvolutionScheme): Promise<void> {
  const path = join(folder, 'model.onnx');
  const bytes = buildModel(modelOf(kind));
  writeFileSync(path, bytes);
  const dims = [2, kind.in * kind.group, ...kind.size];
  const before = await outputOf(bytes, dims);
  const output = join(folder, 'pair.onnx');
  const settings = {
    ...({ output, force: true, init: 'spectral', allowBigger: true } as const),
    ...{ keepFirst: false, keepLast: false, verify: false },
  } as const;
  const area = sizeOf(kind.kernel);
  const tucker = (...rank: readonly [number, number]): ConvertOptions => {
    return { ranks: { layer: { rank, scheme: 'tucker' } } };
  };
  const full = [kind.in, Math.min(kind.out, kind.in * area)] as const;
  const report = await convert(path, {
    ...settings,
    ...(scheme === 'tucker' ? tucker(...full) : { scheme, rankScale: 1 }),
  });
  const [layer] = report.layers;
  expect(layer).toMatchObject({ action: 'factorized', scheme, group: kind.group, op: kind.op });
  expect([layer!.in, layer!.out]).toEqual([kind.in * kind.group, kind.out * kind.group]);
  expect(layer!.kernel).toEqual(kind.kernel);
  expect(layer!.weightError).toBeLessThan(1e-5);

  const pair = readModel(output);
  checkModel(pair);
  // What is counted is what is there.
  const shapes = inferShapes(pair);
  const macs = pair.graph.nodes.reduce((sum, node) => sum + shapes.macsOf(node), 0);
  expect(layer!.macs.after).toBe(macs);
  const weights = pair.graph.initializers.reduce((sum, { tensor }) => sum + tensor!.size, 0);
  expect(layer!.params.after).toBe(weights);
  pair.file?.close();
  expect(relativeError(await outputOf(readFileSync(output), dims), before)).toBeLessThan(1e-5);

  const seen = await inspect(output);
  expect(seen.layers).toHaveLength(1);
  if (scheme === 'tucker') expect([layer!.ranks, seen.layers[0]!.ranks]).toEqual([full, full]);
  expect(seen.layers[0]).toMatchObject({
    rank: layer!.rank,
    scheme,
    op: kind.op,
    group: kind.group,
    kernel: kind.kernel,
  });
  const single = join(folder, 'merged.onnx');
  await merge(output, { output: single, force: true, all: true });
  const merged = readModel(single);
  expect(findLayers(merged.graph, inferShapes(merged)).map(({ node }) => node.opType)).toEqual([kind.op]);
  merged.file?.close();
  expect(relativeError(await outputOf(readFileSync(single), dims), before)).toBeLessThan(1e-5);

  // What is cut off loses what its singular values say.
  const cut = await convert(path, {
    ...settings,
    ...(scheme === 'tucker' ? tucker(1, 1) : { scheme, rankScale: 1e-6 }),
  });
  const [low] = cut.layers;
  const { spectrum } = (await inspect(path)).layers[0]!;
  if (seen.layers[0]!.maxRank > 1 && scheme === 'spatial') {
    const squares = spectrum!.singularValues.map((value) => value ** 2);
    const [first, ...rest] = squares;
    const tail = rest.reduce((sum, value) => sum + value, 0);
    expect(low!.rank).toBe(1);
    expect(low!.weightError!).toBeCloseTo(Math.sqrt(tail / (first! + tail)), 4);
  }
}

const upTo = (most: number, least = 1): fc.Arbitrary<number> => fc.integer({ min: least, max: most });
const axes = (count: number, item: fc.Arbitrary<number>): fc.Arbitrary<number[]> =>
  fc.array(item, { minLength: count, maxLength: count });
const scheme = fc.constantFrom<ConvolutionScheme>('spatial', 'channel');

/** A convolution of so many axes. */
function convolution(count: number, groups: fc.Arbitrary<number>): fc.Arbitrary<Case> {
  return fc
    .record({
      ...{ group: groups, in: upTo(4, 2), out: upTo(5, 2), kernel: axes(count, upTo(3)), bias: fc.boolean() },
      ...{ strides: axes(count, upTo(2)), dilations: axes(count, upTo(2)), pads: axes(2 * count, upTo(2, 0)) },
      ...{ size: axes(count, upTo(9, 6)), autoPad: fc.constantFrom('NOTSET', 'SAME_UPPER', 'VALID') },
    })
    .filter(({ kernel }) => kernel.some((size) => size > 1))
    .map(({ strides, dilations, pads, autoPad, ...own }): Case => {
      // onnxruntime refuses SAME with dilations.
      const spread = autoPad === 'SAME_UPPER' ? dilations.map(() => 1) : dilations;
      const padding = autoPad === 'NOTSET' ? { pads } : { auto_pad: autoPad };
      const window = { strides, dilations: spread, ...padding, kernel_shape: own.kernel };
      return Object.assign(own, { op: 'Conv' as const, attributes: window });
    });
}

/** A transposed convolution of so many axes that multiplies along all of them. */
function transposed(count: number): fc.Arbitrary<Case> {
  return fc
    .record({
      ...{ in: upTo(5, 2), out: upTo(4, 2), kernel: axes(count, upTo(4, 2)), bias: fc.boolean() },
      ...{ strides: axes(count, upTo(3)), dilations: axes(count, upTo(2)), pads: axes(2 * count, upTo(1, 0)) },
      ...{ size: axes(count, upTo(6, 3)), more: axes(count, upTo(2, 0)) },
      autoPad: fc.constantFrom('NOTSET', 'SAME_UPPER', 'SAME_LOWER'),
    })
    .map(({ strides, dilations, pads, autoPad, more, ...own }): Case => {
      // Less than a stride.
      const outputPadding = strides.map((stride, at) => Math.min(more[at]!, stride - 1));
      const padding = autoPad === 'NOTSET' ? { pads, output_padding: outputPadding } : { auto_pad: autoPad };
      const attributes = { strides, dilations: autoPad === 'NOTSET' ? dilations : dilations.map(() => 1), ...padding };
      return Object.assign(own, { op: 'ConvTranspose' as const, group: 1, attributes });
    });
}

describe(`Tucker layers of every kind of convolution (seed ${seed})`, () => {
  it.each([
    ['of one axis', convolution(1, fc.constant(1))],
    ['of two axes', convolution(2, fc.constant(1))],
    ['of three axes', convolution(3, fc.constant(1))],
  ] as const)('%s: exact at full rank, counted, found again and merged', async (_, kinds) => {
    await fc.assert(
      fc.asyncProperty(kinds, (kind) => requireExact(kind, 'tucker')),
      { seed, numRuns: 5 },
    );
  });
});

describe(`pairs of every kind of convolution (seed ${seed})`, () => {
  it.each([
    ['of one axis', convolution(1, fc.constant(1))],
    ['of three axes', convolution(3, fc.constant(1))],
    ['of groups', convolution(2, upTo(3, 2))],
    ['of groups along one axis', convolution(1, upTo(3, 2))],
    ['transposed', transposed(2)],
    ['transposed along one axis', transposed(1)],
    ['transposed along three axes', transposed(3)],
  ] as const)('%s: exact at full rank, counted, found again and merged', async (_, kinds) => {
    const property = fc.asyncProperty(kinds, scheme, requireExact);
    await fc.assert(property, { seed, numRuns: 8 });
  });
});
