import { describe, expect, it } from 'vitest';
import { readModel } from '../../../src/graph/read.js';
import { cpuNodes, describeCpuNodes } from '../../../src/lower/cuda/placement.js';
import { inferShapes } from '../../../src/ops/infer.js';
import { allOperators } from '../../ops/support/operators.js';
import { emitCase } from '../../autodiff/support/check-gradient.js';
import { type CaseTable, elementwiseCases } from '../../autodiff/support/elementwise-cases.js';
import { movementCases } from '../../autodiff/support/movement-cases.js';
import { reductionCases } from '../../autodiff/support/reduction-cases.js';
import { structuredCases } from '../../autodiff/support/structured-cases.js';
import { buildModel, type TestModel } from '../../support/models.js';

/** "Gather: onnxruntime computes …" for every node on the CPU. */
function found(model: TestModel): string[] {
  const read = readModel(buildModel(model));
  return cpuNodes(read, inferShapes(read)).map(({ node, reason }) => `${node.opType}: ${reason}`);
}

const ints = (name: string, ...values: number[]) => ({
  ...{ name, type: 'int64' as const, dims: [values.length], data: BigInt64Array.from(values, BigInt) },
});

describe('nodes that a CUDA session runs on the CPU', () => {
  /** y = x in the shape [its first dimension, 8]. */
  const flattening = (dims: readonly (number | string)[]): TestModel => ({
    inputs: [{ name: 'x', dims }],
    outputs: [{ name: 'y', dims: [dims[0]!, 8] }],
    initializers: [ints('first', 0), ints('rest', 8)],
    nodes: [
      { op: 'Relu', inputs: ['x'], outputs: ['r'] },
      { op: 'Shape', inputs: ['r'], outputs: ['shape'] },
      { op: 'Gather', inputs: ['shape', 'first'], outputs: ['batch'] },
      { op: 'Concat', inputs: ['batch', 'rest'], outputs: ['wanted'], attributes: { axis: 0 } },
      { op: 'Reshape', inputs: ['r', 'wanted'], outputs: ['y'] },
    ],
  });
  const shape = 'onnxruntime computes with shapes on the CPU';

  it('those that compute with the shape of an open batch, up to the node that is given the result', () => {
    expect(found(flattening(['n', 2, 4]))).toEqual([`Gather: ${shape}`, `Concat: ${shape}`]);
  });

  it('none of those with the channels last: onnxruntime then divides the graph twice', () => {
    const model = readModel(buildModel(flattening(['n', 2, 4])));
    expect(cpuNodes(model, inferShapes(model), { nhwc: true })).toEqual([]);
  });

  it('in one line, by reason', () => {
    const { nodes, ...rest } = flattening(['n', 2, 4]);
    const mean = { op: 'Mean', name: 'm', inputs: ['y', 'y'], outputs: ['z'] };
    const model = readModel(buildModel({ ...rest, nodes: [...nodes, mean], outputs: [{ name: 'z' }] }));
    expect(describeCpuNodes(cpuNodes(model, inferShapes(model)), 'it')).toBe(
      `3 nodes of it run on the CPU in a CUDA session: Gather ×1, Concat ×1: ${shape}; Mean ×1 ('m'): it has no kernel on CUDA`,
    );
    expect(describeCpuNodes([], 'it')).toBe(undefined);
  });

  it('none where the shape is known when the model is loaded', () => {
    expect(found(flattening([3, 2, 4]))).toEqual([]);
  });

  it('those whose attributes the provider refuses', () => {
    const weight = { name: 'w', dims: [2, 3, 3, 3], data: new Float32Array(54) };
    const transposed = (attributes: NonNullable<TestModel['nodes'][number]['attributes']>): string[] =>
      found({
        inputs: [{ name: 'x', dims: [1, 2, 8, 8] }],
        outputs: [{ name: 'y' }],
        initializers: [weight],
        nodes: [{ op: 'ConvTranspose', inputs: ['x', 'w'], outputs: ['y'], attributes }],
      });
    expect(transposed({ pads: [1, 1, 1, 1], strides: [2, 2], output_padding: [1, 1] })).toEqual([]);
    expect(transposed({ pads: [0, 0, 1, 1] })).toEqual(['ConvTranspose: cuDNN pads both ends alike']);
    expect(transposed({ auto_pad: 'SAME_UPPER' })).toEqual(['ConvTranspose: cuDNN has no auto_pad SAME']);
    const largest = (attributes: NonNullable<TestModel['nodes'][number]['attributes']>): string[] =>
      found({
        inputs: [{ name: 'x', dims: [2, 8] }],
        outputs: [{ name: 'y', type: 'int64' }],
        nodes: [{ op: 'ArgMax', inputs: ['x'], outputs: ['y'], attributes }],
      });
    expect(largest({ axis: 1 })).toEqual([]);
    expect(largest({ select_last_index: 1 })).toEqual(['ArgMax: it has no kernel on CUDA with select_last_index']);
  });
});

/** Operators that CUDA lacks, or has in older forms than that of opset 22 alone: they are named where a model has them. */
const lacked: Readonly<Record<string, readonly string[]>> = {
  17: ['Acos', 'Acosh', 'Asin', 'Asinh', 'Atan', 'Atanh', 'Celu', 'Cosh', 'GlobalLpPool', 'LpPool', 'Mean'].concat(
    ...['MeanVarianceNormalization', 'Sinh', 'Tan'],
  ),
  22: ['Dropout', 'Elu', 'InstanceNormalization', 'MaxPool', 'Selu', 'ThresholdedRelu'],
};

describe('gradients', () => {
  const cases: CaseTable = { ...elementwiseCases, ...movementCases, ...reductionCases, ...structuredCases };
  for (const opset of [17, 22]) {
    it(`of opset ${opset} are written in operators that CUDA has`, () => {
      const known = new Set(Object.entries(lacked).flatMap(([first, names]) => (Number(first) <= opset ? names : [])));
      let count = 0;
      for (const { opType, domain, inference } of allOperators) {
        if (inference !== undefined) continue; // of our own, replaced before a graph is run
        for (const gradientCase of cases[domain === '' ? opType : `${domain}.${opType}`] ?? []) {
          const version = Math.max(opset, gradientCase.opset ?? 0);
          const { model } = emitCase({ opType, domain, ...gradientCase, opset: version }, false);
          const strangers = cpuNodes(model, inferShapes(model)).filter(({ node }) => !known.has(node.opType));
          const own = opType === 'ConvTranspose' ? ['cuDNN pads both ends alike'] : [];
          expect(
            strangers
              .filter(({ reason }) => !own.includes(reason))
              .map(({ node, reason }) => `${node.opType}: ${reason}`),
            `${opType}, opset ${version}`,
          ).toEqual([]);
          count++;
        }
      }
      expect(count).toBeGreaterThan(200);
    });
  }
});
