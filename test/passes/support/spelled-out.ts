import { expect } from 'vitest';
import { checkModel } from '../../../src/graph/check.js';
import { readModel } from '../../../src/graph/read.js';
import { modelBytes } from '../../../src/graph/write.js';
import { type Pass, runPasses } from '../../../src/passes/runner.js';
import { loadDriver } from '../../../src/runtime/driver.js';
import { prepareTraining } from '../../../src/step/prepare.js';
import { defaultGraphSettings } from '../../../src/step/settings.js';
import { buildModel, type TestModel, type TestNode } from '../../support/models.js';
import { expectRightGradients, normal } from '../../train/support/loss-of.js';

const driver = await loadDriver();
const sizeOf = (dims: readonly number[]): number => dims.reduce((product, dim) => product * dim, 1);

/** As `buildModel`, with the domain of onnxruntime's own operators. */
export function bytesOf(model: TestModel): Uint8Array {
  const read = readModel(buildModel(model));
  read.opsets.set('com.microsoft', 1);
  return modelBytes(read);
}

/** `y` for images of `dims`. */
export async function outputOf(bytes: Uint8Array, dims: readonly number[]): Promise<Float32Array> {
  const session = await driver.createSession(bytes);
  try {
    const x = { type: 'float32', dims, data: normal('x', sizeOf(dims)) } as const;
    return (await session.run({ x }))['y']!.data as Float32Array;
  } finally {
    await session.close();
  }
}

export const floats = (name: string, dims: readonly number[], deviation = 0.5) => {
  return { name, dims, data: normal(name, sizeOf(dims), deviation) };
};

/** Of a map `c`. */
export const head: TestNode[] = [
  { op: 'GlobalAveragePool', inputs: ['c'], outputs: ['p'] },
  { op: 'Flatten', inputs: ['p'], outputs: ['f'] },
];

/** Of images of 3 × 6 × 6 into four classes. */
export function classifier(nodes: readonly TestNode[], initializers: TestModel['initializers'], opset = 17): TestModel {
  return {
    opset,
    inputs: [{ name: 'x', dims: ['n', 3, 6, 6] }],
    outputs: [{ name: 'y', dims: ['n', 4] }],
    initializers: initializers!,
    nodes,
  };
}

/**
 * Holds what `pass` makes of a classifier of x to what onnxruntime computes of it as it is, and the gradients of its training step to
 * differences. No node may be left whose operator is `gone`.
 */
export async function requireSame(bytes: Uint8Array, pass: Pass, gone: RegExp, dims: readonly number[]): Promise<void> {
  const model = readModel(bytes);
  const before = await outputOf(bytes, dims);
  runPasses(model, [pass], { shapes: { inputShapes: { x: dims } } });
  checkModel(model);
  expect(model.graph.nodes.filter(({ opType }) => gone.test(opType))).toEqual([]);
  const after = await outputOf(modelBytes(model), dims);
  after.forEach((value, at) => expect(value).toBeCloseTo(before[at]!, 5));
  await expectRightGradients(driver, prepareTraining(bytes, { settings: defaultGraphSettings }));
}
