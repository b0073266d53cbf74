import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readModel } from '../../src/graph/read.js';
import { checkOpening } from '../../src/rewrite/check-opening.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { convertReport, expectFailure, run, temporaryFolder } from '../support/command.js';
import { buildModel, type TestInitializer, type TestValue } from '../support/models.js';

const folder = temporaryFolder();

const floats = (name: string, dims: readonly number[]): TestInitializer => {
  const size = dims.reduce((product, dim) => product * dim, 1);
  return { name, dims, data: Float32Array.from({ length: size }, (_, i) => Math.sin(i * i + 1)) };
};
const int64 = (name: string, values: readonly number[]): TestInitializer => ({
  ...{ name, type: 'int64', dims: [values.length] },
  data: BigInt64Array.from(values, BigInt),
});

/** Convolution, mean over `axes`, dense layers, for a fixed number of images. */
function classifier(batch: number | string, axes: readonly number[] = [2, 3]): Uint8Array {
  return buildModel({
    inputs: [{ name: 'x', dims: [batch, 3, 8, 8] }],
    outputs: [{ name: 'y', dims: [batch, 4] }],
    initializers: [
      floats('first', [16, 3, 3, 3]),
      floats('second', [16, 16, 3, 3]),
      floats('third', [4, 16]),
      ...[int64('axes', axes), int64('row', [typeof batch === 'number' ? batch : -1, 16])],
    ],
    nodes: [
      { op: 'Conv', name: 'a', inputs: ['x', 'first'], outputs: ['a'], attributes: { kernel_shape: [3, 3] } },
      { op: 'Relu', inputs: ['a'], outputs: ['r'] },
      { op: 'Conv', name: 'b', inputs: ['r', 'second'], outputs: ['b'], attributes: { kernel_shape: [3, 3] } },
      { op: 'ReduceMean', inputs: ['b', 'axes'], outputs: ['m'] },
      { op: 'Reshape', inputs: ['m', 'row'], outputs: ['f'] },
      { op: 'Gemm', name: 'c', inputs: ['f', 'third'], outputs: ['y'], attributes: { transB: 1 } },
    ],
  });
}

const converted = (name: string, bytes: Uint8Array): readonly string[] => {
  const model = join(folder, `${name}.onnx`);
  writeFileSync(model, bytes);
  return [model, '-o', join(folder, `${name}.small.onnx`), '--calibrate', 'none', '--rank-scale', '0.5'];
};

describe('convert --open-batch', () => {
  it.each([1, 2])('writes a model that takes any number of images, counted for the %d of the file', async (batch) => {
    const words = converted(`of-${batch}`, classifier(batch));
    const kept = convertReport(...words);
    const opened = convertReport(...words, '--open-batch', '--force');
    expect(opened.totals).toEqual(kept.totals);
    const { graph } = readModel(words[2]!);
    expect(graph.inputs[0]!.declared?.dims).toEqual(['batch', 3, 8, 8]);
    expect(graph.outputs[0]!.declared?.dims).toEqual(['batch', 4]);
    const session = await (await loadDriver()).createSession(words[2]!);
    const images = { type: 'float32', dims: [5, 3, 8, 8], data: new Float32Array(5 * 192).fill(0.5) } as const;
    expect((await session.run({ x: images }))['y']!.dims).toEqual([5, 4]);
    await session.close();
  });

  it('refuses a batch that is mixed, before anything is fitted', () => {
    const words = converted('mixed', classifier(1, [0, 2, 3]));
    expectFailure(
      run('convert', ...words, '--open-batch'),
      'UNSUPPORTED',
      /cannot be opened: it reduces over the batch.*leave out --open-batch/,
    );
  });

  it.each([
    ['of bytes', [{ name: 'x', type: 'uint8', dims: [1, 3, 8, 8] }], /its images are uint8, not float32; input 'x'/],
    [
      'of two inputs',
      [
        { name: 'x', dims: [1, 3, 8, 8] },
        { name: 'scale', dims: [1] },
      ],
      /the model takes 2 inputs; input 'x'/,
    ],
  ] as const)('refuses images %s, which it cannot check', (name, inputs, fact) => {
    const [{ name: x }, other] = inputs as readonly TestValue[] as [TestValue, TestValue?];
    const bytes = buildModel({
      inputs,
      outputs: [{ name: 'y', dims: [1, 16, 8, 8] }],
      initializers: [floats('w', [16, 3, 3, 3]), floats('v', [16, 16, 3, 3])],
      nodes: [
        { op: 'Cast', inputs: [x], outputs: ['f'], attributes: { to: 1 } },
        { op: 'Conv', inputs: ['f', 'w'], outputs: ['c'], attributes: { pads: [1, 1, 1, 1] } },
        { op: 'Conv', inputs: ['c', 'v'], outputs: ['d'], attributes: { pads: [1, 1, 1, 1] } },
        { op: 'Add', inputs: ['d', other?.name ?? 'c'], outputs: ['y'] },
      ],
    });
    expectFailure(run('convert', ...converted(name.replace(' ', '-'), bytes), '--open-batch'), 'UNSUPPORTED', fact);
  });

  it('says that a batch is open already', () => {
    const { warnings } = convertReport(...converted('open', classifier('n')), '--open-batch');
    expect(warnings).toContain('no batch was opened: the model has no fixed one');
  });
});

describe('the check of an opened batch', () => {
  const check = async (bytes: Uint8Array): ReturnType<typeof checkOpening> =>
    checkOpening(bytes, { driver: await loadDriver(), session: {} });

  it('runs both models; passes what opens to the same, and what was open', async () => {
    expect(await check(classifier(1))).toBeUndefined();
    expect(await check(classifier(2))).toBeUndefined();
    expect(await check(classifier('n'))).toBeUndefined();
  });

  it('gives what stands in the way', async () => {
    expect((await check(classifier(1, [0, 2, 3])))?.fact).toBe('it reduces over the batch');
  });
});
