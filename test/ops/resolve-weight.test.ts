import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Value } from '../../src/graph/value.js';
import { BFLOAT16, FLOAT, FLOAT16 } from '../../src/onnx/data-type.js';
import { Tensor } from '../../src/onnx/tensor.js';
import { resolveWeight } from '../../src/ops/resolve-weight.js';
import { buildModel, int, ints, runModel } from './support/build.js';

const seed = 20240607;

/** Rows of distinct numbers that float16 does not hold exactly, so that roundings and orders both show. */
const numbers = (count: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => (i - count / 3) * 1.2345678);

describe('resolveWeight', () => {
  it('gives the data that onnxruntime computes for random chains', async () => {
    const step = fc.record({ kind: fc.integer({ min: 0, max: 7 }), salt: fc.nat() });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 }),
        fc.array(step, { maxLength: 6 }),
        fc.constantFrom(11, 13, 17),
        fc.boolean(),
        async (dims, steps, opset, isConstantNode) => {
          const { model, graph, node } = buildModel(opset);
          const size = dims.reduce((product, dim) => product * dim, 1);
          const tensor = Tensor.ofFloats('weight', dims, numbers(size));
          let value: Value = isConstantNode
            ? node('Constant', [], { value: { type: 'tensor', value: tensor } })[0]!
            : graph.addInitializer(tensor);
          const source = value;
          let shape = [...dims];
          const constant = (values: readonly number[]): Value =>
            graph.addInitializer(Tensor.ofInts(graph.uniqueName('list'), [values.length], values));
          const axesOf = (axes: readonly number[]): [Value[], Record<string, ReturnType<typeof ints>>] =>
            opset >= 13 ? [[constant(axes)], {}] : [[], { axes: ints(axes) }];
          for (const { kind, salt } of steps) {
            if (kind === 0) value = node('Identity', [value])[0]!;
            else if (kind === 1) {
              const by = salt % shape.length;
              const perm = shape.map((_, i) => (i + by) % shape.length);
              value = node('Transpose', [value], salt % 5 === 0 ? {} : { perm: ints(perm) })[0]!;
              shape = salt % 5 === 0 ? shape.toReversed() : perm.map((axis) => shape[axis]!);
            } else if (kind === 2) {
              const target = salt % 2 === 0 ? [0, -1] : [-1, shape.at(-1)!];
              value = node('Reshape', [value, constant(target)])[0]!;
              shape = salt % 2 === 0 ? [shape[0]!, size / shape[0]!] : [size / shape.at(-1)!, shape.at(-1)!];
            } else if (kind === 3) {
              const axis = salt % (shape.length + 1);
              value = node('Flatten', [value], { axis: int(axis) })[0]!;
              const rows = shape.slice(0, axis).reduce((product, dim) => product * dim, 1);
              shape = [rows, size / rows];
            } else if (kind === 4) {
              const axis = salt % (shape.length + 1);
              const [inputs, attributes] = axesOf([salt % 2 === 0 ? axis : axis - shape.length - 1]);
              value = node('Unsqueeze', [value, ...inputs], attributes)[0]!;
              shape = shape.toSpliced(axis, 0, 1);
            } else if (kind === 5) {
              if (shape.length < 2 || !shape.includes(1)) continue;
              const axis = shape.indexOf(1);
              const [inputs, attributes] = axesOf([axis]);
              value = node('Squeeze', [value, ...inputs], attributes)[0]!;
              shape = shape.toSpliced(axis, 1);
            } else {
              const to = kind === 6 ? FLOAT16 : opset >= 13 ? BFLOAT16 : FLOAT;
              value = node('Cast', [value], { to: int(to) })[0]!;
            }
          }
          const [output] = node('Cast', [value], { to: int(FLOAT) });
          graph.addOutput(output!, { dataType: FLOAT, dims: undefined });
          const weight = resolveWeight(graph, output!);
          expect(weight?.dims).toEqual(shape);
          expect(weight?.source).toBe(source);
          expect(weight?.chain.at(-1)).toBe(output!.producer);
          expect(weight?.tensor).toBe(tensor);
          const actual = (await runModel(model, {}))[output!.name]!;
          expect(actual.dims).toEqual(shape);
          expect(weight?.data()).toEqual(actual.data);
        },
      ),
      { seed, numRuns: 60 },
    );
  });

  it('sees no weight in what is computed, given or not a float', () => {
    const { graph, node } = buildModel(17);
    const x = graph.addInput('x', { dataType: FLOAT, dims: [2, 3] });
    const w = graph.addInitializer(Tensor.ofFloats('w', [2, 3], numbers(6)));
    const index = graph.addInitializer(Tensor.ofInts('index', [2], [1, 2]));
    expect(resolveWeight(graph, x)).toBeUndefined();
    expect(resolveWeight(graph, node('Relu', [w])[0]!)).toBeUndefined();
    expect(resolveWeight(graph, node('Identity', [x])[0]!)).toBeUndefined();
    expect(resolveWeight(graph, index)).toBeUndefined();
    expect(resolveWeight(graph, node('Cast', [index], { to: int(FLOAT) })[0]!)).toBeUndefined();
    const target = node('Shape', [x])[0]!;
    expect(resolveWeight(graph, node('Reshape', [w, target])[0]!)).toBeUndefined();
  });

  it('takes an initializer that is also an input (IR 3), and half precision', () => {
    const { graph } = buildModel(7);
    const w = graph.addInitializer(Tensor.ofFloats('w', [4], Float32Array.of(1, 0.5, -2, 65504), FLOAT16));
    graph.addInput('w', { dataType: FLOAT16, dims: [4] });
    const weight = resolveWeight(graph, w);
    expect(weight?.data()).toEqual(Float32Array.of(1, 0.5, -2, 65504));
    expect(weight?.dataType).toBe(FLOAT16);
  });

  it('names the node of a contradiction', () => {
    const { graph, node } = buildModel(17);
    const w = graph.addInitializer(Tensor.ofFloats('w', [2, 3], numbers(6)));
    const list = graph.addInitializer(Tensor.ofInts('list', [2], [4, 2]));
    const [value] = node('Reshape', [w, list], {}, { name: 'head/reshape' });
    expect(() => resolveWeight(graph, value!)).toThrow(
      expect.objectContaining({
        code: 'SHAPE',
        message: "[2, 3] cannot be reshaped to [4, 2]; Reshape 'head/reshape'",
      }),
    );
  });
});
