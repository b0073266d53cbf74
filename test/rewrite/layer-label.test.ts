import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { compare } from '../../src/compare/compare.js';
import { findLayers } from '../../src/rewrite/layers.js';
import { nearlyLost } from '../../src/convert/nearly-lost.js';
import { readModel } from '../../src/graph/read.js';
import { inspect } from '../../src/inspect/inspect.js';
import { inferShapes } from '../../src/ops/infer.js';
import type { ConvertReport } from '../../src/contracts/convert.js';
import { inspectHtml } from '../../src/report/html/inspect-html.js';
import { renderInspectTable } from '../../src/report/inspect-table.js';
import { PLAIN } from '../../src/report/terminal.js';
import { convert, type ConvertModelCall } from '../../src/convert/usual-calls.js';
import { chain, conv, gemm, plain, type Step } from '../inspect/support/layers.js';
import { run, temporaryFolder } from '../support/command.js';
import { buildModel, type TestModel } from '../support/models.js';

const folder = temporaryFolder();

/** The step with another name of its node, and of its weight. */
function named(step: Step, name: string, weight?: string): Step {
  const weights = step.weights.map((each, index) =>
    index === 0 && weight !== undefined ? { ...each, name: weight } : each,
  );
  return { ...step, node: { ...step.node, name }, weights };
}

/** As `torch.onnx.export(dynamo=True)` names nodes, and initializers. */
const exported: TestModel = chain(
  [1, 16, 8, 8],
  [
    named(conv('stem.conv', [16, 16], [3, 3]), 'node_Conv_1'),
    plain('Relu'),
    named(conv('layer1.0.conv1', [16, 16], [3, 3]), 'node_Conv_2'),
    plain('Relu'),
    named(conv('layer1.0.conv2', [16, 16], [3, 3]), 'node_conv2d_5'),
    plain('Relu'),
    named(conv('mine', [16, 16], [3, 3]), 'classifier'),
  ],
);
const model = join(folder, 'exported.onnx');
const labels = ['stem.conv', 'layer1.0.conv1', 'layer1.0.conv2', 'classifier'];
const names = ['node_Conv_1', 'node_Conv_2', 'node_conv2d_5', 'classifier'];

function labelsOf(test: TestModel): string[] {
  const path = join(folder, 'labels.onnx');
  writeFileSync(path, buildModel(test));
  const read = readModel(path);
  return findLayers(read.graph, inferShapes(read)).map(({ label }) => label);
}

describe('the name of a layer that people are shown', () => {
  const image = [1, 4, 4, 4];
  const one = (name: string, weight: string): string =>
    labelsOf(chain(image, [named(conv('c', [4, 4], [3, 3]), name, weight)]))[0]!;

  it.each([
    ['node_Conv_341', 'layer4.0.conv2.weight', 'layer4.0.conv2'],
    ['node_conv2d', 'features.0.0.weight', 'features.0.0'],
    ['Conv_0', 'conv1.weight', 'conv1'],
    ['Conv_12_quant', 'conv1.weight_quantized', 'conv1'],
    ['/Conv_3', 'head.weight', 'head'],
    ['n4_Conv', 'depthwise_conv2d.kernel', 'depthwise_conv2d'],
    ['p2o.Conv.7', 'conv1_weights', 'conv1'],
    ['123', 'stem.weight', 'stem'],
    ['node_Conv_7.v', 'layer1.conv.weight.v', 'layer1.conv.v'],
    // A number says nothing, a plain name everything.
    ['Conv_2', '7.weight', '7.weight'],
    ['Conv_2', 'filters', 'filters'],
  ])('is that of its weight where its node is %s: %s', (name, weight, label) => {
    expect(one(name, weight)).toBe(label);
  });

  it.each([
    ['/layer1/layer1.0/conv1/Conv', 'layer1.0.conv1.weight'],
    ['conv1', 'w'],
    ['conv_1', 'kernel.weight'],
    ['Conv_3', 'onnx::Conv_193'],
    ['Conv_3', '218'],
    ['node_Conv_3', 'val_12'],
    ['node_Conv_3', '_param_constant4'],
    ['Conv_3', '/Constant_7_output_0'],
  ])('is that of its node: %s with %s', (name, weight) => {
    expect(one(name, weight)).toBe(name);
  });

  it('goes through Transpose, and names dense layers', () => {
    const dense = chain([1, 4], [named(gemm('fc', [4, 3]), 'node_Gemm_8')]);
    expect(labelsOf(dense)).toEqual(['fc']);
    const weight = dense.initializers![0]!;
    const [node] = dense.nodes;
    const transposed: TestModel = {
      ...dense,
      initializers: [{ ...weight, dims: [3, 4] }],
      nodes: [
        { op: 'Transpose', inputs: [weight.name], outputs: ['turned'], attributes: { perm: [1, 0] } },
        { ...node!, inputs: [node!.inputs[0]!, 'turned'] },
      ],
    };
    expect(labelsOf(transposed)).toEqual(['fc']);
  });

  it('is that of the node where two layers share a weight, or one is called like it', () => {
    const shared = chain(image, [
      named(conv('tied', [4, 4], [3, 3]), 'node_Conv_1'),
      named(conv('tied', [4, 4], [3, 3]), 'node_Conv_2'),
      named(conv('taken', [4, 4], [3, 3]), 'node_Conv_3'),
      named(conv('other', [4, 4], [3, 3]), 'taken'),
    ]);
    const initializers = shared.initializers!.filter((_, index) => index !== 1);
    expect(labelsOf({ ...shared, initializers })).toEqual(['node_Conv_1', 'node_Conv_2', 'node_Conv_3', 'taken']);
  });
});

describe('a model of counted nodes', () => {
  const small = join(folder, 'small.onnx');
  const page = join(folder, 'small.html');
  const fixed = { calibrate: 'none', verify: false, keepFirst: false, keepLast: false, force: true } as const;
  const converted = (options: ConvertModelCall): Promise<ConvertReport> =>
    convert(model, { ...fixed, output: small, ...options });
  let text = '';
  beforeAll(() => {
    writeFileSync(model, buildModel(exported));
    const flags = ['--calibrate', 'none', '--no-verify', '--no-keep-first', '--no-keep-last', '--rank-scale', '0.2'];
    const { code, stdout, stderr } = run('convert', model, '-o', small, ...flags, '--report', page);
    expect(code, stderr).toBe(0);
    text = stdout;
  });

  it('is converted under the names of its weights, in the table and on the page', () => {
    for (const label of labels) expect(text).toContain(` ${label} `);
    expect(text).not.toMatch(/node_/);
    const html = readFileSync(page, 'utf8');
    expect(html).toContain('<span class="name">layer1.0.conv2</span>');
    // Below it, for viewers of graphs, and nowhere else.
    expect(html).toContain('<span class="name">node_conv2d_5</span>');
    expect(html.match(/node_conv2d_5/g)).toHaveLength(1);
  });

  it('has both names in the report, and the one for people in warnings', async () => {
    const { layers } = await converted({ rankScale: 0.2 });
    expect(layers.map(({ name, label }) => [name, label])).toEqual(names.map((name, at) => [name, labels[at]]));
    const [warning] = nearlyLost([{ ...layers[1]!, functionError: 0.99 }]);
    expect(warning).toContain(`what 'layer1.0.conv1' at rank ${layers[1]!.rank} of`);
  });

  it.each([
    ['what people are shown', ['layer1.0.conv?']],
    ['weights', ['layer1.0.conv?.weight']],
    ['nodes', ['node_*_2', '*conv2d*']],
  ])('has layers chosen by globs of %s', async (_, exclude) => {
    const { layers } = await converted({ rankScale: 0.2, exclude });
    expect(layers.map(({ reason }) => reason === 'excluded by --exclude')).toEqual([false, true, true, false]);
  });

  it('takes ranks under any of the names, once', async () => {
    const { layers } = await converted({
      ranks: { 'layer1.0.conv1': 3, node_conv2d_5: 4, 'stem.conv.weight': 5 },
    });
    expect(layers.map(({ rank }) => rank)).toEqual([5, 3, 4, null]);
    await expect(converted({ ranks: { 'layer1.0.conv1': 3, node_Conv_2: 4 } })).rejects.toMatchObject({
      code: 'USAGE',
      fact: "--ranks names one weight twice, as 'node_Conv_2' and as 'layer1.0.conv1'",
    });
  });

  it('keeps them through compare, inspect and merge', async () => {
    const compared = await compare(model, {
      inits: ['spectral', 'lfai'],
      rankScale: 0.2,
      keepFirst: false,
      keepLast: false,
    });
    expect(compared.layers.map(({ label }) => label)).toEqual(labels);

    expect(renderInspectTable(await inspect(model, { spectrum: false }), PLAIN)).not.toMatch(/node_/);
    await converted({ rankScale: 0.2 });
    const pairs = await inspect(small, { spectrum: false });
    expect(pairs.totals.pairs).toBe(labels.length);
    expect(pairs.layers.map(({ name, label }) => [name, label])).toEqual(names.map((name, at) => [name, labels[at]]));
    const shown = await inspectHtml(await inspect(model));
    expect(shown.match(/node_conv2d_5/g)).toHaveLength(1);

    const { code, stdout, stderr } = run('merge', small, '-o', join(folder, 'merged.onnx'), '--all');
    expect(code, stderr).toBe(0);
    for (const label of labels) expect(stdout).toContain(label);
    expect(stdout).not.toMatch(/node_/);
  });

  it('is named in errors as it is shown', async () => {
    const broken = join(folder, 'broken.onnx');
    const { name, dims, data } = exported.initializers![1]!;
    const weights = Float32Array.from(data as Float32Array).fill(NaN, 0, 1);
    const initializers = exported.initializers!.with(1, { name, dims, data: weights });
    writeFileSync(broken, buildModel({ ...exported, initializers }));
    await expect(convert(broken, { ...fixed, output: small, rankScale: 0.2 })).rejects.toMatchObject({
      code: 'NUMERIC',
      place: "layer 'layer1.0.conv1'",
      remedy: expect.stringContaining("--exclude 'layer1.0.conv1'") as string,
    });
  });
});
