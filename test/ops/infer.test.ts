import { describe, expect, it } from 'vitest';
import type { Attribute } from '../../src/graph/attribute.js';
import { readModel } from '../../src/graph/read.js';
import type { Value } from '../../src/graph/value.js';
import { FLOAT, INT64 } from '../../src/onnx/data-type.js';
import { Tensor } from '../../src/onnx/tensor.js';
import { inferShapes } from '../../src/ops/infer.js';
import { hasShared, modelPath } from '../support/shared.js';
import { buildModel, int, ints, string } from './support/build.js';

type Dims = readonly (number | string | undefined)[];

function boundDims(dims: Dims, options: Parameters<typeof inferShapes>[1] = {}): readonly number[] {
  const { model, graph, node } = buildModel(17);
  const x = graph.addInput('x', { dataType: FLOAT, dims });
  graph.addOutput(node('Relu', [x])[0]!);
  return inferShapes(model, options).require(x).dims;
}

describe('open dimensions of inputs', () => {
  it.each([
    [['n', 3, 224, 224], {}, [1, 3, 224, 224]],
    [[undefined, 3, undefined, undefined], {}, [1, 3, 224, 224]],
    [['n', 'h', 'w', 3], {}, [1, 224, 224, 3]],
    [['n', 'c', 'h', 'w'], {}, [1, 3, 224, 224]],
    [[undefined, undefined, undefined, undefined], { defaultSide: 32 }, [1, 3, 32, 32]],
    [[8, 3, 'h', 'h'], { defaultSide: 64 }, [8, 3, 64, 64]],
    [['n', 'features'], {}, [1, 1]],
    [['n', 3, 'h', 'w'], { bindings: { n: 5, w: 7 } }, [5, 3, 224, 7]],
    [['n', 3, 'h', 'w'], { inputShapes: { x: [2, 3, 8, 9] } }, [2, 3, 8, 9]],
    [[3, 224, 224], {}, [3, 224, 224]],
  ] as const)('%j with %j', (dims, options, expected) => {
    expect(boundDims(dims, options)).toEqual(expected);
  });

  it('gives a symbol one number everywhere', () => {
    const { model, graph, node } = buildModel(17);
    const x = graph.addInput('x', { dataType: FLOAT, dims: ['n', 4] });
    const y = graph.addInput('y', { dataType: FLOAT, dims: [4, 'n'] });
    graph.addOutput(node('MatMul', [x, y])[0]!, { dataType: FLOAT, dims: ['n', 'n'] });
    const table = inferShapes(model, { inputShapes: { y: [4, 6] } });
    expect(table.require(x).dims).toEqual([6, 4]);
    expect(table.inputs.bindings.get('n')).toBe(6);
    expect(() => inferShapes(model, { inputShapes: { x: [2, 4], y: [4, 6] } })).toThrow(
      "'n' would be both 2 and 6; input 'y' is float32 [4, n]; give another --input-shape",
    );
  });

  it.each([
    [{ inputShapes: { x: [2, 3, 8] } }, 'SHAPE', /has 3 dimensions.*--input-shape/],
    [{ inputShapes: { x: [2, 4, 8, 8] } }, 'SHAPE', /\[2, 4, 8, 8\] differs at axis 1.*--input-shape/],
    [{ inputShapes: { z: [1] } }, 'USAGE', /no input 'z'; its inputs are 'x'/],
    [{ inputShapes: { x: [2.5, 3, 8, 8] } }, 'USAGE', /impossible dimension 2.5/],
    [{ bindings: { n: -1 } }, 'USAGE', /impossible dimension -1/],
  ])('refuses %j', (options, code, message) => {
    expect(() => boundDims(['n', 3, 'h', 'w'], options)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) as unknown }),
    );
  });
});

describe('inferShapes', () => {
  it('names the node of a contradiction, with the remedy where a shape was chosen', () => {
    const build = (dims: Dims) => {
      const { model, graph, node } = buildModel(17);
      const x = graph.addInput('x', { dataType: FLOAT, dims });
      const w = graph.addInitializer(Tensor.ofFloats('w', [5, 2], new Float32Array(10)));
      graph.addOutput(node('MatMul', [x, w], {}, { name: 'fc1' })[0]!);
      return model;
    };
    expect(() => inferShapes(build([1, 4]))).toThrow("inner sizes differ: [1, 4] × [5, 2]; MatMul 'fc1'");
    expect(() => inferShapes(build(['n', 'k']))).toThrow(
      "inner sizes differ: [1, 1] × [5, 2]; MatMul 'fc1'; give the shape of the input with --input-shape, or export the model with fixed shapes",
    );
    expect(() => inferShapes(build([1, 4]))).toThrow(expect.objectContaining({ code: 'SHAPE', remedy: undefined }));
  });

  it('reports declarations that the rules contradict, and goes by the rules', () => {
    const { model, graph, node } = buildModel(17);
    const x = graph.addInput('x', { dataType: FLOAT, dims: ['n', 4] });
    const [y] = node('Relu', [x]);
    y!.declared = { dataType: FLOAT, dims: ['n', 5] };
    const [z] = node('Shape', [y]);
    graph.addOutput(z!, { dataType: INT64, dims: [2] });
    const table = inferShapes(model);
    expect(table.require(y!).dims).toEqual([1, 4]);
    expect(table.warnings).toEqual(["'Relu_out' is declared float32 [n, 5] but is float32 [1, 4]"]);
    expect(table.constantOf(z!)).toEqual([1, 4]);
    expect(table.constantOf(x)).toBeUndefined();
  });

  it('follows arithmetic on shapes', () => {
    const { model, graph, node } = buildModel(17);
    const x = graph.addInput('x', { dataType: FLOAT, dims: ['n', 6, 8] });
    const list = (name: string, values: number[]): Value =>
      graph.addInitializer(Tensor.ofInts(name, [values.length], values));
    const [dims] = node('Shape', [x]);
    const [tail] = node('Slice', [dims, list('s', [1]), list('e', [2 ** 31 - 1])]);
    const [half] = node('Div', [tail, list('two', [2])]);
    const [asFloat] = node('Cast', [half], { to: int(FLOAT) });
    const [floor] = node('Floor', [asFloat]);
    const [asInt] = node('Cast', [floor], { to: int(INT64) });
    const [target] = node('Concat', [list('all', [-1]), asInt], { axis: int(0) });
    const [y] = node('Reshape', [x, target]);
    graph.addOutput(y!);
    expect(inferShapes(model).require(y!).dims).toEqual([4, 3, 4]);
  });

  it('leaves an initializer that may be overridden a constant (IR 3)', () => {
    const { model, graph, node } = buildModel(8);
    model.irVersion = 3;
    const x = graph.addInput('x', { dataType: FLOAT, dims: [2, 6] });
    const target = graph.addInitializer(Tensor.ofInts('target', [2], [3, -1]));
    graph.addInput('target', { dataType: INT64, dims: [2] });
    const [y] = node('Reshape', [x, target]);
    graph.addOutput(y!);
    expect(inferShapes(model).require(y!).dims).toEqual([3, 4]);
  });

  it('knows nothing of what functions of the model do', () => {
    const { model, graph, node } = buildModel(17);
    const x = graph.addInput('x', { dataType: FLOAT, dims: [2, 6] });
    const [y] = node('Relu', [x]);
    graph.addOutput(y!);
    const table = inferShapes({ ...model, functions: [':Relu'] });
    expect(table.unknown.map(({ reason }) => reason)).toEqual(['Relu is a function of the model']);
  });
});

describe('multiply-accumulates', () => {
  const count = (
    opType: string,
    shapes: readonly (readonly number[])[],
    attributes: Record<string, Attribute> = {},
    domain = '',
  ): number => {
    const { model, graph, node } = buildModel(domain === '' ? 23 : 17, domain === '' ? {} : { [domain]: 1 });
    const inputs = shapes.map((dims, i) => graph.addInput(`in${i}`, { dataType: FLOAT, dims }));
    const [y] = node(opType, inputs, attributes, domain === '' ? {} : { domain });
    graph.addOutput(y!);
    return inferShapes(model).macsOf(y!.producer!);
  };

  it.each([
    // 2 images, 8 channels out of 4, 3×3 windows at 5×5 places.
    [
      'Conv',
      2 * 8 * 25 * 4 * 9,
      [
        [2, 4, 7, 7],
        [8, 4, 3, 3],
      ],
      {},
    ],
    // In two groups each output channel sees two of the four.
    [
      'Conv',
      2 * 8 * 25 * 2 * 9,
      [
        [2, 4, 7, 7],
        [8, 2, 3, 3],
      ],
      { group: int(2) },
    ],
    // Each of 4 × 49 input elements meets 8 channels and 4 taps.
    [
      'ConvTranspose',
      4 * 49 * 8 * 4,
      [
        [1, 4, 7, 7],
        [4, 8, 2, 2],
      ],
      { strides: ints([2, 2]) },
    ],
    [
      'Gemm',
      3 * 5 * 4,
      [
        [4, 3],
        [5, 4],
      ],
      { transA: int(1), transB: int(1) },
    ],
    [
      'MatMul',
      2 * 6 * 3 * 5 * 4,
      [
        [2, 1, 3, 4],
        [6, 4, 5],
      ],
      {},
    ],
    ['MatMul', 4, [[4], [4]], {}],
    [
      'Einsum',
      2 * 4 * 5 * 7 * 8,
      [
        [2, 4, 5, 8],
        [2, 4, 7, 8],
      ],
      { equation: string('bhid,bhjd->bhij') },
    ],
    ['Einsum', 0, [[3, 3]], { equation: string('ii->i') }],
    // q·kᵀ and ·v: 2 batches, 4 heads, 5 × 7 pairs of 8 and of 6.
    [
      'Attention',
      2 * 4 * 5 * 7 * (8 + 6),
      [
        [2, 4, 5, 8],
        [2, 4, 7, 8],
        [2, 4, 7, 6],
      ],
      {},
    ],
    ['Relu', 0, [[2, 3]], {}],
  ] as const)('%s: %d', (opType, expected, shapes, attributes) => {
    expect(count(opType, shapes, attributes)).toBe(expected);
  });

  it('com.microsoft.FusedMatMul', () => {
    expect(
      count(
        'FusedMatMul',
        [
          [2, 4, 3],
          [4, 5],
        ],
        { transA: int(1) },
        'com.microsoft',
      ),
    ).toBe(2 * 3 * 4 * 5);
  });

  // GFLOPS (that is, multiply-accumulates) in the documentation of torchvision's weights.
  it.skipIf(!hasShared).each([
    ['exports/torchscript/resnet18.onnx', 1.814],
    ['exports/torchscript-bn/resnet50.onnx', 4.089],
    ['exports/torchscript-bn/efficientnet_b0.onnx', 0.386],
  ])('%s: %d billion, as published', (name, expected) => {
    const model = readModel(modelPath(name));
    const table = inferShapes(model);
    const total = model.graph.nodes.reduce((sum, node) => sum + table.macsOf(node), 0);
    expect(Math.round(total / 1e6) / 1e3).toBe(expected);
    model.file?.close();
  });
});
