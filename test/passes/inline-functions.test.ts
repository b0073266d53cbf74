import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readModel } from '../../src/graph/read.js';
import { modelBytes } from '../../src/graph/write.js';
import { inferShapes } from '../../src/ops/infer.js';
import { inlineFunctions } from '../../src/passes/inline-functions.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { prepareTraining } from '../../src/step/prepare.js';
import { defaultGraphSettings } from '../../src/step/settings.js';
import { convertReport, run, temporaryFolder } from '../support/command.js';
import { failureOf } from '../support/errors.js';
import {
  field,
  flat,
  floatField,
  graphProto,
  modelProto,
  nodeProto,
  numberField,
  rawData,
  tensorProto,
  valueInfoProto,
} from '../support/build.js';
import { expectRightGradients, normal } from '../train/support/loss-of.js';

const folder = temporaryFolder();
const driver = await loadDriver();

const tensor = (name: string, dims: readonly number[]): Buffer => {
  const size = dims.reduce((product, dim) => product * dim, 1);
  return tensorProto(name, dims, 1, rawData(new Uint8Array(normal(name, size, 0.4).buffer)));
};
const intAttribute = (name: string, ...values: readonly number[]): Buffer =>
  flat(
    field(1, name),
    values.map((value) => numberField(8, value)),
    numberField(20, 7),
  );
/** An attribute that is that of the call. */
const reference = (name: string, of: string): Buffer => flat(field(1, name), numberField(20, 1), field(21, of));

const opset = (domain: string, version: number): Buffer => field(9, field(1, domain), numberField(2, version));
interface Parts {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly nodes: readonly Uint8Array[];
  readonly version?: number;
}
const functionProto = (name: string, { inputs, outputs, nodes, version = 17 }: Parts): Buffer =>
  field(
    25,
    field(1, name),
    inputs.map((input) => field(4, input)),
    outputs.map((output) => field(5, output)),
    field(6, 'slope'),
    nodes.map((node) => field(7, node)),
    opset('', version),
    opset('local', 1),
    field(10, 'local'),
  );

/** Two calls of Block (a convolution and LeakyRelu of the call's slope), which is called by Outer; then a dense layer. */
function withFunctions({ version = 17, isEndless = false } = {}): Buffer {
  const slope = (value: number): Buffer => flat(field(1, 'slope'), floatField(2, value), numberField(20, 1));
  const call = (op: string, x: string, w: string, y: string, value: number): Buffer =>
    nodeProto({ op, domain: 'local', name: `call.${y}`, inputs: [x, w], outputs: [y], attributes: [slope(value)] });
  return modelProto(
    graphProto({
      nodes: [
        call('Block', 'x', 'w1', 'a', 0.1),
        call('Outer', 'a', 'w2', 'b', 0.3),
        nodeProto({ op: 'GlobalAveragePool', inputs: ['b'], outputs: ['p'] }),
        nodeProto({ op: 'Flatten', inputs: ['p'], outputs: ['f'] }),
        nodeProto({ op: 'Gemm', inputs: ['f', 'w3'], outputs: ['y'] }),
      ],
      initializers: [tensor('w1', [6, 3, 3, 3]), tensor('w2', [6, 6, 3, 3]), tensor('w3', [6, 4])],
      inputs: [valueInfoProto('x', ['n', 3, 8, 8])],
      outputs: [valueInfoProto('y', ['n', 4])],
    }),
    {
      extra: flat(
        field(8, field(1, 'local'), numberField(2, 1)),
        functionProto('Block', {
          inputs: ['in', 'weight'],
          outputs: ['out'],
          version,
          nodes: [
            nodeProto({
              op: isEndless ? 'Block' : 'Conv',
              ...(isEndless ? { domain: 'local' } : {}),
              inputs: ['in', 'weight'],
              outputs: ['c'],
              attributes: isEndless ? [] : [intAttribute('pads', 1, 1, 1, 1)],
            }),
            nodeProto({ op: 'LeakyRelu', inputs: ['c'], outputs: ['out'], attributes: [reference('alpha', 'slope')] }),
          ],
        }),
        functionProto('Outer', {
          inputs: ['x', 'w'],
          outputs: ['y'],
          nodes: [
            nodeProto({
              op: 'Block',
              domain: 'local',
              inputs: ['x', 'w'],
              outputs: ['y'],
              attributes: [reference('slope', 'slope')],
            }),
          ],
        }),
      ),
    },
  );
}

const images = { type: 'float32', dims: [2, 3, 8, 8], data: normal('images', 384) } as const;

async function outputOf(model: Uint8Array): Promise<Float32Array> {
  const session = await driver.createSession(model);
  const { y } = await session.run({ x: images });
  await session.close();
  return y!.data as Float32Array;
}

describe('functions of a model', () => {
  it('are put in place, and the model computes what it did', async () => {
    const bytes = withFunctions();
    const model = readModel(bytes);
    inlineFunctions(model);
    expect(model.graph.nodes.map(({ opType }) => opType).join()).toBe(
      'Conv,LeakyRelu,Conv,LeakyRelu,GlobalAveragePool,Flatten,Gemm',
    );
    expect(model.graph.nodes.filter((node) => node.is('LeakyRelu')).map((node) => node.float('alpha'))).toEqual(
      [0.1, 0.3].map(Math.fround),
    );
    expect(await outputOf(modelBytes(model))).toEqual(await outputOf(bytes));
  });

  it('have shapes and multiply-accumulates without being put in place', () => {
    const model = readModel(withFunctions());
    const shapes = inferShapes(model);
    expect(shapes.unknown).toEqual([]);
    expect(shapes.require(model.graph.value('b')!).dims).toEqual([1, 6, 8, 8]);
    expect(model.graph.nodes.map((node) => shapes.macsOf(node))).toEqual([6 * 27 * 64, 6 * 54 * 64, 0, 0, 24]);
  });

  it('their layers are kept with the reason, and counted', () => {
    const path = join(folder, 'functions.onnx');
    writeFileSync(path, withFunctions());
    const report = convertReport(path, '-o', join(folder, 'converted.onnx'), '--no-keep-last', '--no-keep-first');
    const layers = report.layers.map(({ name, action, params, macs }) => [name, action, params.before, macs.before]);
    expect(layers).toEqual([
      ['call.a/c', 'kept', 162, 162 * 64],
      ['call.b/y/c', 'kept', 324, 324 * 64],
      ['y', 'factorized', 24, 24],
    ]);
    expect(report.layers[0]!.reason).toMatch(/^inside of the function 'Block'/);
    expect(report.totals.macs.before).toBe((162 + 324) * 64 + 24);
    expect(run('inspect', path).stdout).toContain("inside of the function 'Block'");
  });

  it('are trained through', async () => {
    const prepared = prepareTraining(withFunctions(), { settings: defaultGraphSettings });
    expect(prepared.parameters.map(({ name }) => name)).toEqual(['w1', 'w2', 'w3']);
    await expectRightGradients(driver, prepared);
  });

  it('of another opset, or that call themselves, are refused in one line', async () => {
    const train = (bytes: Uint8Array) => () => prepareTraining(bytes, { settings: defaultGraphSettings });
    const other = await failureOf('UNSUPPORTED', train(withFunctions({ version: 13 })));
    expect(other.message).toMatch(
      /'Block' cannot be put in place: it is written for opset 13 of ai.onnx, the model for 17/,
    );
    const endless = await failureOf('UNSUPPORTED', train(withFunctions({ isEndless: true })));
    expect(endless.message).toMatch(/call each other without end/);
    expect(inferShapes(readModel(withFunctions({ isEndless: true }))).unknown.length).toBeGreaterThan(0);
  });
});
