import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { convert } from '../../../src/convert/convert.js';
import { findActivation } from '../../../src/rewrite/find-activation.js';
import { functionRisk } from '../../../src/factorize/function-error.js';
import { inits } from '../../../src/factorize/inits/index.js';
import { formOf } from '../../../src/factorize/sampled/activation-form.js';
import { sampledFunctionError } from '../../../src/factorize/sampled/error.js';
import { obstacleOf, regionForm } from '../../../src/factorize/sampled/region-form.js';
import type { InitProblem } from '../../../src/factorize/types.js';
import { readModel } from '../../../src/graph/read.js';
import type { Linalg } from '../../../src/linalg/types.js';
import { buildModel, type TestNode } from '../../support/models.js';
import { cases } from '../support/expectation.js';
import { testLinalg } from '../support/linalg.js';
import { freshWeight } from '../support/weights.js';

let linalg: Linalg;
const folder = mkdtempSync(join(tmpdir(), 'lowrank-test-'));
beforeAll(async () => {
  linalg = await testLinalg();
}, 60_000);
afterAll(async () => {
  await linalg.close();
  rmSync(folder, { recursive: true });
});

const neurons = 12;
const numbers = (name: string, value: number) => ({ name, dims: [], data: Float32Array.of(value) });
const constants = [
  numbers('one', 1),
  numbers('half', 0.5),
  numbers('quick', 1.702),
  numbers('root', 0.7978845608),
  numbers('cubic', 0.044715),
  { name: 'slopes', dims: [neurons, 1, 1], data: Float32Array.from({ length: neurons }, (_, i) => i / 20) },
];

const node = (op: string, inputs: string[], output: string, attributes = {}, domain = ''): TestNode => ({
  op,
  domain,
  inputs,
  outputs: [output],
  attributes,
});

const tanhGelu = [
  node('Mul', ['h', 'h'], 'square'),
  node('Mul', ['square', 'h'], 'cube'),
  node('Mul', ['cube', 'cubic'], 'small'),
  node('Add', ['h', 'small'], 'sum'),
  node('Mul', ['sum', 'root'], 'scaled'),
  node('Tanh', ['scaled'], 'tanh'),
  node('Add', ['tanh', 'one'], 'plus'),
  node('Mul', ['h', 'plus'], 'product'),
  node('Mul', ['product', 'half'], 'y'),
];

/** Activations without closed forms: how they are written and what comes before the end. */
const unknown: readonly (readonly [string, readonly TestNode[]])[] = [
  ['Elu', [node('Elu', ['h'], 'y', { alpha: { float: 0.7 } })]],
  ['Selu', [node('Selu', ['h'], 'y')]],
  ['Celu', [node('Celu', ['h'], 'y')]],
  ['Softplus', [node('Softplus', ['h'], 'y')]],
  ['Softsign', [node('Softsign', ['h'], 'y')]],
  ['Mish', [node('Mish', ['h'], 'y')]],
  ['ThresholdedRelu', [node('ThresholdedRelu', ['h'], 'y')]],
  ['PRelu', [node('PRelu', ['h', 'slopes'], 'y')]],
  ['QuickGelu', [node('QuickGelu', ['h'], 'y', {}, 'com.microsoft')]],
  ['Softplus+Tanh+Mul', [node('Softplus', ['h'], 's'), node('Tanh', ['s'], 't'), node('Mul', ['h', 't'], 'y')]],
  ['Mul+Sigmoid+Mul', [node('Mul', ['h', 'quick'], 's'), node('Sigmoid', ['s'], 't'), node('Mul', ['h', 't'], 'y')]],
  ['Mul+Mul+Mul+Add+Mul+Tanh+Add+Mul', tanhGelu],
];

function regionOf(nodes: readonly TestNode[], extra: readonly string[] = []) {
  const model = readModel(
    buildModel({
      opset: 20,
      inputs: [{ name: 'x', dims: [1, neurons, 5, 5] }],
      outputs: [{ name: 'out' }, ...extra.map((name) => ({ name }))],
      initializers: constants,
      nodes: [node('Identity', ['x'], 'h'), ...nodes, node('GlobalMaxPool', ['y'], 'out')],
    }),
  );
  return { ...findActivation(model.graph, model.graph.value('h')!), opsets: model.opsets };
}

function problemOf(more: Partial<InitProblem> = {}): InitProblem {
  const fresh = freshWeight(neurons, 20, 1);
  // Far enough from 0 for functions that are nearly straight there.
  const weight = { ...fresh, data: fresh.data.map((x) => 3 * x) };
  return { weight, rank: 3, rowsPerNeuron: 1, activation: { kind: 'linear' }, seed: 1, linalg, ...more };
}

describe('an activation without closed forms', () => {
  it.each(unknown)('is read from the graph and fitted through: %s', async (name, nodes) => {
    const { region, unknown: found, opsets } = regionOf(nodes);
    expect(found).toBe(name);
    const form = regionForm(region!, opsets);
    expect(obstacleOf(form, neurons)).toBeUndefined();
    const problem = problemOf({ sampled: { activation: form, settings: { steps: 300 }, session: { threads: 1 } } });
    const errorOf = async (init: 'spectral' | 'lfai-ws-adam'): Promise<number> =>
      sampledFunctionError(problem, await inits[init].fit(problem), form);
    // The jump of ThresholdedRelu has no gradient: there, nothing is promised but that the fit stays near its start.
    const most = name === 'ThresholdedRelu' ? 1.01 : 1;
    expect(await errorOf('lfai-ws-adam')).toBeLessThan(most * (await errorOf('spectral')));
  });

  it('is none where something else reads what comes before it', () => {
    expect(regionOf([node('Elu', ['h'], 'y')], ['h']).region).toBeUndefined();
    const split = [node('Softplus', ['h'], 's'), node('Tanh', ['s'], 't'), node('Mul', ['h', 't'], 'y')];
    expect(regionOf(split, ['s']).region).toBeUndefined();
  });

  it('says why it cannot be fitted through', () => {
    const { region, opsets } = regionOf([node('Round', ['h'], 'y')]);
    expect(obstacleOf(regionForm(region!, opsets), neurons)).toBe('its derivative is zero wherever it exists');
  });

  it.each(cases)('has an estimated error like the exact one: $name', async ({ activation }) => {
    const problem = problemOf({ activation });
    const pair = await inits.spectral.fit(problem);
    const { risk, scale } = await functionRisk(problem, pair);
    const estimate = await sampledFunctionError(problem, pair, formOf(activation));
    // 4,096 inputs of 12 neurons: relative deviations of about 1 % of both sums, half of it after the root.
    expect(Math.abs(estimate / Math.sqrt(risk / scale) - 1)).toBeLessThan(0.04);
  });
});

describe('a conversion with such an activation', () => {
  const path = join(folder, 'model.onnx');
  const output = join(folder, 'out.onnx');
  const conv = (name: string, dims: readonly number[], seed: number) => ({
    name,
    dims,
    data: freshWeight(
      dims[0]!,
      dims.slice(1).reduce((a, b) => a * b),
      seed,
    ).data,
  });
  const write = (op: string): void =>
    writeFileSync(
      path,
      buildModel({
        opset: 17,
        inputs: [{ name: 'x', dims: [1, 16, 8, 8] }],
        outputs: [{ name: 'y', dims: [1, 16, 8, 8] }],
        initializers: [conv('w', [16, 16, 3, 3], 1)],
        nodes: [
          { op: 'Conv', name: 'conv', inputs: ['x', 'w'], outputs: ['h'], attributes: { pads: [1, 1, 1, 1] } },
          { op, inputs: ['h'], outputs: ['y'] },
        ],
      }),
    );
  const options = { output, force: true, keepFirst: false, keepLast: false, fitSteps: 30, fitBatch: 64 } as const;

  it('fits through it, and reports it by its name', async () => {
    write('Elu');
    const { layers, warnings } = await convert(path, { ...options, init: 'lfai-ws-adam' });
    expect(layers[0]).toMatchObject({ action: 'factorized', activation: 'Elu', init: 'lfai-ws-adam' });
    expect(warnings).toEqual([]);
  });

  it('falls back to a linear layer where it cannot, and says so', async () => {
    write('Round');
    const sampled = await convert(path, { ...options, init: 'lfai-ws-adam' });
    expect(sampled.layers[0]).toMatchObject({ action: 'factorized', activation: 'linear' });
    expect(sampled.warnings).toEqual([
      "layer 'conv': no rule for its activation Round (its derivative is zero wherever it exists), fitted as a linear layer",
    ]);
    write('Elu');
    const { fitSteps: _, fitBatch: __, ...exact } = options;
    expect((await convert(path, exact)).warnings).toEqual([
      "layer 'conv': no rule for its activation Elu, fitted as a linear layer",
    ]);
  });

  it('names the layer in which Adam leaves the finite numbers', async () => {
    write('Relu');
    const { warnings, layers } = await convert(path, {
      ...options,
      init: 'lfai-ws-adam',
      scheme: 'spatial',
      fitLr: 1e30,
    });
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(/^layer 'conv', spatial: Adam left the finite numbers at step \d+ of 30/);
    const spectral = await convert(path, {
      output,
      force: true,
      keepFirst: false,
      keepLast: false,
      init: 'spectral',
      scheme: 'spatial',
    });
    expect(layers[0]!.weightError).toBe(spectral.layers[0]!.weightError);
  });
});
