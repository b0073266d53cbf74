import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { checkModel } from '../../src/graph/check.js';
import { readModel } from '../../src/graph/read.js';
import { modelBytes } from '../../src/graph/write.js';
import { FLOAT16 } from '../../src/onnx/data-type.js';
import { inferShapes } from '../../src/ops/infer.js';
import { dequantize } from '../../src/passes/dequantize.js';
import { findLayers } from '../../src/rewrite/layers.js';
import { randomFloats } from '../../src/rewrite/samples.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { buildModel, type TestNode } from '../support/models.js';
import { hasShared, modelPath } from '../support/shared.js';

const driver = await loadDriver();

async function outputOf(bytes: Uint8Array, name: string, dims: readonly number[]): Promise<Float32Array> {
  const session = await driver.createSession(bytes);
  try {
    const data = randomFloats(
      dims.reduce((product, dim) => product * dim, 1),
      7,
      'x',
    );
    const outputs = await session.run({ [name]: { type: 'float32', dims, data } });
    return Object.values(outputs)[0]!.data as Float32Array;
  } finally {
    await session.close();
  }
}

function relativeError(one: Float32Array, other: Float32Array): number {
  const norm = (values: Float32Array): number => Math.hypot(...values);
  return norm(one.map((value, at) => value - other[at]!)) / norm(other);
}

const quantizer = (input: string, output: string, scale: string, zero: string): TestNode[] => [
  { op: 'QuantizeLinear', inputs: [input, scale, zero], outputs: [`${output}.q`] },
  { op: 'DequantizeLinear', inputs: [`${output}.q`, scale, zero], outputs: [output] },
];

/** A convolution of a weight of int8, a scale for each neuron, between quantized activations; what follows it begins at `zero`. */
function quantized(zero: number): Uint8Array {
  const weights = Array.from({ length: 36 }, (_, at) => ((at * 37) % 255) - 127);
  return buildModel({
    opset: 13,
    inputs: [{ name: 'x', dims: [1, 2, 6, 6] }],
    outputs: [{ name: 'y' }],
    initializers: [
      { name: 'w', dims: [2, 2, 3, 3], type: 'int8', data: Int8Array.from(weights) },
      { name: 'w.scale', dims: [2], data: Float32Array.from([0.01, 0.02]) },
      { name: 'w.zero', dims: [2], type: 'int8', data: Int8Array.from([0, 0]) },
      { name: 'b', dims: [2], type: 'int32', data: Int32Array.from([100, -300]) },
      { name: 'b.scale', dims: [2], data: Float32Array.from([0.0005, 0.001]) },
      { name: 'scale', dims: [], data: Float32Array.from([0.05]) },
      { name: 'zero', dims: [], type: 'uint8', data: Uint8Array.from([128]) },
      { name: 'wide', dims: [], data: Float32Array.from([0.4]) },
      { name: 'last', dims: [], type: 'uint8', data: Uint8Array.from([zero]) },
    ],
    nodes: [
      ...quantizer('x', 'xq', 'scale', 'zero'),
      {
        op: 'DequantizeLinear',
        inputs: ['w', 'w.scale', 'w.zero'],
        outputs: ['wf'],
        attributes: { axis: 0 },
      },
      { op: 'DequantizeLinear', inputs: ['b', 'b.scale'], outputs: ['bf'], attributes: { axis: 0 } },
      { op: 'Conv', inputs: ['xq', 'wf', 'bf'], outputs: ['c'] },
      ...quantizer('c', 'cq', 'wide', 'last'),
      { op: 'Identity', inputs: ['cq'], outputs: ['y'] },
    ],
  });
}

describe('a model in QDQ form as a float model', () => {
  it.each([
    ['a range around 0', 128, false],
    ['a range that begins at 0: the Relu that the quantizer left to it', 0, true],
  ] as const)('weights, biases and scales by neuron; %s', async (_, zero, hasRelu) => {
    const bytes = quantized(zero);
    const model = readModel(bytes);
    expect(dequantize(model)).toEqual([expect.stringMatching(/^the model is quantized \(1 of its 1 layers\)/)]);
    checkModel(model);
    const names = model.graph.nodes.map(({ opType }) => opType);
    expect(names.filter((name) => name.endsWith('Linear'))).toEqual([]);
    expect(names.includes('Relu')).toBe(hasRelu);
    expect(findLayers(model.graph, inferShapes(model))[0]).toMatchObject({ kind: 'factorizable' });
    const weight = model.graph.nodes.find((node) => node.is('Conv'))!.inputs[1]!.tensor!.toFloat32();
    expect(weight[0]).toBeCloseTo(-1.27, 6);
    expect(weight[18]).toBeCloseTo(0.02 * (((18 * 37) % 255) - 127), 6);
    const dims = [1, 2, 6, 6];
    const error = relativeError(await outputOf(modelBytes(model), 'x', dims), await outputOf(bytes, 'x', dims));
    expect(error).toBeGreaterThan(0);
    expect(error).toBeLessThan(0.05);
  });

  it('a range without a zero point begins at 0 where its type is unsigned, and goes both ways where output_dtype is int8', async () => {
    const twoWays = (type: number | undefined): Uint8Array =>
      buildModel({
        opset: 21,
        inputs: [{ name: 'x', dims: [1, 2] }],
        outputs: [{ name: 'y' }],
        initializers: [
          { name: 'w', dims: [2, 2], type: 'int8', data: Int8Array.from([100, -20, 3, 40]) },
          { name: 'w.scale', dims: [], data: Float32Array.from([0.01]) },
          { name: 'scale', dims: [], data: Float32Array.from([0.05]) },
        ],
        nodes: [
          { op: 'DequantizeLinear', inputs: ['w', 'w.scale'], outputs: ['wf'] },
          { op: 'MatMul', inputs: ['x', 'wf'], outputs: ['p'] },
          {
            ...{ op: 'QuantizeLinear', inputs: ['p', 'scale'], outputs: ['q'] },
            ...(type === undefined ? {} : { attributes: { output_dtype: type } }),
          },
          { op: 'DequantizeLinear', inputs: ['q', 'scale'], outputs: ['d'] },
          { op: 'Identity', inputs: ['d'], outputs: ['y'] },
        ],
      });
    const names = (type: number | undefined): string[] => {
      const model = readModel(twoWays(type));
      dequantize(model);
      return model.graph.nodes.map(({ opType }) => opType);
    };
    expect(names(undefined)).toContain('Relu');
    expect(names(2)).toContain('Relu');
    expect(names(3)).not.toContain('Relu');
    const model = readModel(twoWays(3));
    dequantize(model);
    const own = await outputOf(modelBytes(model), 'x', [1, 2]);
    expect(relativeError(own, await outputOf(twoWays(3), 'x', [1, 2]))).toBeLessThan(0.1);
  });

  it('weights take the type of their scale', () => {
    const model = readModel(
      buildModel({
        opset: 21,
        inputs: [{ name: 'x', dims: [1, 2], type: 'float16' }],
        outputs: [{ name: 'y', type: 'float16' }],
        initializers: [
          { name: 'w', dims: [2, 2], type: 'int8', data: Int8Array.from([100, -20, 3, 40]) },
          { name: 'scale', dims: [], type: 'float16', data: Uint16Array.from([0x38_00]) },
        ],
        nodes: [
          { op: 'DequantizeLinear', inputs: ['w', 'scale'], outputs: ['wf'] },
          { op: 'MatMul', inputs: ['x', 'wf'], outputs: ['y'] },
        ],
      }),
    );
    expect(dequantize(model)).toHaveLength(1);
    checkModel(model);
    inferShapes(model);
    const weight = model.graph.nodes[0]!.inputs[1]!.tensor!;
    expect(weight.dataType).toBe(FLOAT16);
    expect([...weight.toFloat32()]).toEqual([50, -10, 1.5, 20]);
  });

  it('a float model is left as it is', () => {
    const bytes = buildModel({
      opset: 13,
      inputs: [{ name: 'x', dims: [1, 2] }],
      outputs: [{ name: 'y' }],
      initializers: [{ name: 'w', dims: [2, 2], data: Float32Array.from([1, 2, 3, 4]) }],
      nodes: [{ op: 'MatMul', inputs: ['x', 'w'], outputs: ['y'] }],
    });
    const model = readModel(bytes);
    expect(dequantize(model)).toEqual([]);
    expect(Buffer.from(modelBytes(model)).equals(bytes)).toBe(true);
  });

  it.skipIf(!hasShared)(
    'a real one: outputs like those of the int8 model, and of the float model that it was made from',
    async () => {
      const path = modelPath('refuse/cifar10-resnet8-qdq-op13.onnx');
      const model = readModel(path);
      expect(dequantize(model)).toHaveLength(1);
      checkModel(model);
      const input = model.graph.inputs.find((value) => !value.isInitializer)!.name;
      const dims = [1, 3, 32, 32];
      const own = await outputOf(modelBytes(model), input, dims);
      model.file?.close();
      expect(relativeError(own, await outputOf(readFileSync(path), input, dims))).toBeLessThan(0.1);
      const float = readFileSync(modelPath('cifar10-resnet8-pt1.12-op13.onnx'));
      expect(relativeError(own, await outputOf(float, input, dims))).toBeLessThan(0.1);
    },
  );
});
