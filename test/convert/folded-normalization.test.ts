import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { convert as convertWithout } from '../../src/convert/convert.js';
import type { Model } from '../../src/graph/model.js';
import { readModel } from '../../src/graph/read.js';
import { modelBytes } from '../../src/graph/write.js';
import { FLOAT } from '../../src/onnx/data-type.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { resolveWeight } from '../../src/ops/resolve-weight.js';
import { convert } from '../../src/convert/usual-calls.js';
import { foldAgain, foldedOutputs, unfold } from '../../src/convert/folded-normalization.js';
import { syntheticCalibration } from '../../src/images/synthetic.js';
import { temporaryFolder } from '../support/command.js';
import { buildModel, type TestInitializer, type TestNode } from '../support/models.js';
import { tinyClassifier } from '../support/tiny-classifier.js';

const driver = await loadDriver();
const folder = temporaryFolder();
const folded = tinyClassifier({ hasNormalization: false });
const convolutions = ['stem', 'block1.conv1', 'block1.conv2', 'block2.conv1', 'block2.conv2'];
const names = convolutions.map((name) => `${name}.out`);
const images = Float32Array.from({ length: 32 * 768 }, (_, at) => ((at * 7919) % 1009) / 1009);

/** What values of a model are on the images. */
async function valuesOf(
  model: Model,
  wanted: readonly string[],
  data: Float32Array = images,
): Promise<ReadonlyMap<string, Float32Array>> {
  const copy = readModel(modelBytes(model));
  for (const name of wanted) {
    const value = copy.graph.value(name)!;
    if (!value.isOutput) copy.graph.addOutput(value, { dataType: FLOAT, dims: undefined });
  }
  const session = await driver.createSession(modelBytes(copy), {});
  const outputs = await session.run({ x: { type: 'float32', dims: [32, 3, 16, 16], data } }, wanted);
  await session.close();
  return new Map(wanted.map((name) => [name, outputs[name]!.data as Float32Array]));
}

interface Spread {
  readonly mean: Float64Array;
  readonly variance: Float64Array;
}

/** Of each of the 8 channels. */
function spreadOf(values: Float32Array): Spread {
  const area = values.length / (32 * 8);
  const [mean, square] = [new Float64Array(8), new Float64Array(8)];
  for (const [at, value] of values.entries()) {
    const channel = Math.floor(at / area) % 8;
    mean[channel]! += value / (32 * area);
    square[channel]! += value ** 2 / (32 * area);
  }
  return { mean, variance: square.map((each, channel) => each - mean[channel]! ** 2) };
}

describe('BatchNormalization that was folded', () => {
  it('is where a convolution has a bias and leads on, in a model that has none', () => {
    expect(foldedOutputs(readModel(folded))).toEqual(
      convolutions.map((name) => ({ name: `${name}.out`, channels: 8, weight: `${name}.weight` })),
    );
    expect(foldedOutputs(readModel(tinyClassifier()))).toEqual([]);
  });

  it.each([
    [6, undefined],
    [7, { layers: 2, folded: 2 }],
  ])('is looked for from opset 7 on: %d', async (opset, recalibration) => {
    const sizes = { w1: [12, 3, 3, 3], b1: [12], w2: [12, 12, 3, 3], b2: [12], w3: [12, 12, 3, 3], b3: [12] };
    const initializers = Object.entries(sizes).map(([name, dims]) => {
      const size = dims.reduce((product, dim) => product * dim, 1);
      return { name, dims, data: Float32Array.from({ length: size }, (_, at) => 0.3 * Math.sin(7.3 * at)) };
    });
    const layer = (index: number, x: string): TestNode[] => [
      { op: 'Conv', inputs: [x, `w${index}`, `b${index}`], outputs: [`c${index}`] },
      { op: 'Relu', inputs: [`c${index}`], outputs: [`r${index}`] },
    ];
    const model = buildModel({
      opset,
      irVersion: 3,
      inputs: [{ name: 'x', dims: ['n', 3, 16, 16] }, ...initializers.map(({ name, dims }) => ({ name, dims }))],
      outputs: [{ name: 'y', dims: ['n', 12] }],
      nodes: [
        ...[...layer(1, 'x'), ...layer(2, 'r1'), ...layer(3, 'r2')],
        { op: 'GlobalAveragePool', inputs: ['r3'], outputs: ['p'] },
        { op: 'Flatten', inputs: ['p'], outputs: ['y'] },
      ],
      initializers,
    });
    const [path, output] = [join(folder, `opset-${opset}.onnx`), join(folder, `opset-${opset}-out.onnx`)];
    writeFileSync(path, model);
    const report = await convert(path, { output, rankScale: 0.3, init: 'whitened', keepLast: false });
    expect(report.layers.filter(({ action }) => action === 'factorized')).toHaveLength(2);
    expect(report.verify).not.toBeNull();
    if (recalibration === undefined) expect(report.recalibration).toBeUndefined();
    else expect(report.recalibration).toMatchObject(recalibration);
  });

  it('is not at the end of a model, without a bias, or where layers share a weight', () => {
    const weights: TestInitializer[] = ['one', 'two', 'three'].map((name) => ({
      name,
      dims: [3, 3, 1, 1],
      data: new Float32Array(9).fill(0.5),
    }));
    const biases = ['a', 'b', 'c', 'd'].map((name) => ({ name, dims: [3], data: new Float32Array(3) }));
    const conv = (inputs: readonly string[], output: string): TestNode => ({ op: 'Conv', inputs, outputs: [output] });
    const model = buildModel({
      inputs: [{ name: 'x', dims: ['n', 3, 8, 8] }],
      outputs: [
        { name: 'flat', dims: ['n', 192] },
        { name: 'last', dims: ['n', 3, 8, 8] },
      ],
      nodes: [
        conv(['x', 'one', 'a'], 'normal'),
        { op: 'Relu', inputs: ['normal'], outputs: ['r'] },
        conv(['r', 'two', 'b'], 'shared'),
        { op: 'Relu', inputs: ['shared'], outputs: ['s'] },
        conv(['s', 'two', 'c'], 'too'),
        { op: 'Relu', inputs: ['too'], outputs: ['t'] },
        conv(['t', 'three'], 'without'),
        { op: 'Flatten', inputs: ['without'], outputs: ['flat'] },
        conv(['t', 'three', 'd'], 'last'),
      ],
      initializers: [...weights, ...biases],
    });
    expect(foldedOutputs(readModel(model)).map(({ name }) => name)).toEqual(['normal']);
  });

  it('is nowhere in a model without biases, whose pairs get some', async () => {
    const plain = readModel(folded);
    for (const node of plain.graph.nodes) {
      if (!node.is('Conv')) continue;
      const bias = node.inputs[2]!;
      plain.graph.setInput(node, 2, undefined);
      plain.graph.removeIfUnused(bias);
    }
    const [model, output] = [join(folder, 'plain.onnx'), join(folder, 'plain-out.onnx')];
    writeFileSync(model, modelBytes(plain));
    const report = await convert(model, { output, init: 'whitened', rankScale: 0.25 });
    expect(report.layers.filter(({ action }) => action === 'factorized')).toHaveLength(4);
    expect(report.recalibration).toBeUndefined();
    expect(foldedOutputs(readModel(output)).length).toBeGreaterThan(0);
  });

  it('changes nothing where it is put back and folded again', async () => {
    const model = readModel(folded);
    const before = (await valuesOf(model, ['y'])).get('y')!;
    const seen = await valuesOf(model, names);
    unfold(model, new Map([...seen].map(([name, values]) => [name, spreadOf(values)])));
    expect(model.graph.nodes.filter((node) => node.is('BatchNormalization'))).toHaveLength(5);
    const between = (await valuesOf(model, ['y'])).get('y')!;
    foldAgain(model, names);
    expect(model.graph.nodes.map(({ opType, name }) => [opType, name])).toEqual(
      readModel(folded).graph.nodes.map(({ opType, name }) => [opType, name]),
    );
    const after = (await valuesOf(model, ['y'])).get('y')!;
    const largest = Math.max(...before.map(Math.abs));
    for (const other of [between, after]) {
      other.forEach((value, at) => expect(Math.abs(value - before[at]!)).toBeLessThan(1e-5 * largest));
    }
  });

  it('keeps the spread of channels that pairs take away, and layers that are no pairs as they are', async () => {
    const [model, output] = [join(folder, 'folded.onnx'), join(folder, 'out.onnx')];
    writeFileSync(model, folded);
    const calibrate = syntheticCalibration({ images: 32, normalization: 'unit' });
    const context = { path: model, driver, session: {}, signal: undefined };
    const open = await calibrate(readModel(folded), 32, context);
    let shown: Float32Array = images;
    for await (const { feeds } of open.batches()) shown = feeds['x']!.data as Float32Array;
    await open.close();
    const call = { output, force: true, verify: false, init: 'whitened', rankScale: 0.12, calibrate } as const;
    const before = await valuesOf(readModel(folded), names, shown);
    /** log of the ratio of deviations, in the mean of all channels that are not silent. */
    const shrunk = async (): Promise<number> => {
      const after = await valuesOf(readModel(output), names, shown);
      const ratios = names.flatMap((name) => {
        const [was, is] = [before, after].map((values) => spreadOf(values.get(name)!).variance);
        return Array.from(was!, (variance, channel) => Math.log(is![channel]! / variance) / 2);
      });
      return ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length;
    };
    const plain = await convertWithout(model, call);
    expect(plain.recalibration).toBeUndefined();
    const without = await shrunk();
    const report = await convert(model, call);
    expect(report.recalibration).toMatchObject({ layers: 4, folded: 4, data: 'synthetic' });
    const weightOf = (bytes: Uint8Array | string): Float32Array => {
      const { graph } = readModel(bytes);
      return resolveWeight(graph, graph.value('stem.weight')!)!.data();
    };
    expect(weightOf(output)).toEqual(weightOf(folded));
    const moved = await shrunk();
    expect(without).toBeLessThan(-0.05);
    expect(Math.abs(moved)).toBeLessThan(0.01);
  });
});
