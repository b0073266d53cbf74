import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { TrainReport } from '../../src/contracts/train.js';
import { readModel } from '../../src/graph/read.js';
import { prepareTraining } from '../../src/step/prepare.js';
import { defaultGraphSettings } from '../../src/step/settings.js';
import { failureOf } from '../support/errors.js';
import { run, temporaryFolder } from '../support/command.js';
import { buildModel, type TestInitializer, type TestModel } from '../support/models.js';
import { writeTextures } from '../support/tiny-classifier.js';
import { normal } from './support/loss-of.js';

const folder = temporaryFolder();
const settings = defaultGraphSettings;

const floats = (name: string, dims: readonly number[], scale = 0.5): TestInitializer => ({
  ...{ name, dims },
  data: normal(
    name,
    dims.reduce((product, dim) => product * dim, 1),
    scale,
  ),
});
const int64 = (name: string, values: readonly number[]): TestInitializer => ({
  ...{ name, type: 'int64', dims: [values.length] },
  data: BigInt64Array.from(values, BigInt),
});

/**
 * Conv, BatchNormalization, ReLU, the mean over the map, a dense layer. An exporter that saw one image may write that mean as
 * one over all axes but the channels: such a model mixes images of a larger batch, and its batch stays.
 */
function classifier(isBaked: boolean, hasNormalization = true): Uint8Array {
  const batch = isBaked ? 1 : 'n';
  const pooled: TestModel['nodes'] = isBaked
    ? [
        { op: 'ReduceMean', inputs: ['r', 'all'], outputs: ['m'], attributes: { keepdims: 0 } },
        { op: 'Reshape', inputs: ['m', 'row'], outputs: ['f'] },
      ]
    : [{ op: 'ReduceMean', inputs: ['r', 'map'], outputs: ['f'], attributes: { keepdims: 0 } }];
  const variance = { name: 'bn.variance', dims: [4], data: Float32Array.of(0.5, 1, 2, 3) };
  return buildModel({
    inputs: [{ name: 'x', dims: [batch, 3, 16, 16] }],
    outputs: [{ name: 'y', dims: [batch, 3] }],
    initializers: [
      floats('conv.weight', [4, 3, 3, 3]),
      ...[floats('bn.weight', [4]), floats('bn.bias', [4]), floats('bn.mean', [4]), variance],
      ...[floats('fc.weight', [3, 4]), floats('fc.bias', [3])],
      ...[int64('all', [0, 2, 3]), int64('map', [2, 3]), int64('row', [1, 4])],
    ],
    nodes: [
      { op: 'Conv', inputs: ['x', 'conv.weight'], outputs: ['c'], attributes: { kernel_shape: [3, 3] } },
      hasNormalization
        ? { op: 'BatchNormalization', inputs: ['c', 'bn.weight', 'bn.bias', 'bn.mean', 'bn.variance'], outputs: ['b'] }
        : { op: 'Identity', inputs: ['c'], outputs: ['b'] },
      { op: 'Relu', inputs: ['b'], outputs: ['r'] },
      ...pooled,
      { op: 'Gemm', inputs: ['f', 'fc.weight', 'fc.bias'], outputs: ['y'], attributes: { transB: 1 } },
    ],
  });
}

describe('a model whose batch cannot be opened', () => {
  it('is refused with the node where images would meet, or taken at its own batch, which is said', async () => {
    const failure = await failureOf('UNSUPPORTED', () => prepareTraining(classifier(true), { settings }));
    expect(failure.message).toBe(
      "the batch that the model was exported for cannot be opened: it reduces over the batch; ReduceMean 'm'; export it with an open batch",
    );
    const prepared = prepareTraining(classifier(true), { settings, ownBatch: true });
    expect(prepared).toMatchObject({ ownBatch: 1, classes: 3 });
    expect(prepared.warnings).toContain(
      "the model is run with one image at a time and its BatchNormalization stays as it is, for its batch cannot be opened: it reduces over the batch (ReduceMean 'm')",
    );
    expect(prepareTraining(classifier(false), { settings, ownBatch: true }).ownBatch).toBeUndefined();
  });

  it('learns run by run what a batch teaches, its statistics where they were', async () => {
    const data = join(folder, 'textures');
    await writeTextures(join(data, 'train'), 8, 1);
    await writeTextures(join(data, 'val'), 3, 2);
    const trained = (name: string, bytes: Uint8Array): { report: TrainReport; before: Weights; after: Weights } => {
      const [model, output] = [join(folder, `${name}.onnx`), join(folder, `${name}.trained.onnx`)];
      writeFileSync(model, bytes);
      const outcome = run(
        ...['train', model, '-o', output, '--data', data, '--epochs', '2', '--batch-size', '4', '--lr', '0.05'],
        ...['--normalization', 'unit', '--image-size', '16', '--json'],
      );
      expect(outcome.code, outcome.stderr).toBe(0);
      return { report: JSON.parse(outcome.stdout) as TrainReport, before: weightsOf(model), after: weightsOf(output) };
    };
    const { report, before, after } = trained('normalized', classifier(true));
    expect(report.settings).toMatchObject({ batchSize: 1, accumulate: 4 });
    expect(report.warnings.join(' ')).toContain('run with one image at a time');
    for (const name of ['bn.mean', 'bn.variance']) expect(after(name)).toEqual(before(name));
    for (const name of ['conv.weight', 'bn.weight', 'fc.weight']) expect(after(name)).not.toEqual(before(name));

    const [apart, together] = [true, false].map((isBaked) =>
      trained(isBaked ? 'apart' : 'together', classifier(isBaked, false)),
    );
    expect(together!.report.settings).toMatchObject({ batchSize: 4, accumulate: 1 });
    for (const name of ['conv.weight', 'fc.weight', 'fc.bias']) {
      // Twelve updates of sums in another order.
      const expected = together!.after(name);
      apart!.after(name).forEach((value, at) => expect(Math.abs(value - expected[at]!)).toBeLessThan(1e-5));
      expect(expected).not.toEqual(together!.before(name));
    }
  });
});

type Weights = (name: string) => number[];

function weightsOf(path: string): Weights {
  const { graph } = readModel(path);
  return (name) => [...graph.value(name)!.tensor!.toFloat32()];
}
