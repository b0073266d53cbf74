import { describe, expect, it } from 'vitest';
import type { Attribute } from '../../src/graph/attribute.js';
import type { Value } from '../../src/graph/value.js';
import { FLOAT } from '../../src/onnx/data-type.js';
import { Tensor } from '../../src/onnx/tensor.js';
import { inferShapes } from '../../src/ops/infer.js';
import { buildModel, feedOf, int, runModel } from './support/build.js';

describe('sequences, against onnxruntime', () => {
  const sizes: Record<string, readonly number[] | number | undefined> = {
    'listed sizes': [1, 4, 2],
    'one size': 3,
    'no sizes': undefined,
  };

  it.each(Object.entries(sizes))('parts of %s, taken out and joined again', async (_, split) => {
    for (const keepdims of split === undefined ? [0, 1] : [1]) {
      const { model, graph, node } = buildModel(17);
      const x = graph.addInput('x', { dataType: FLOAT, dims: [2, 7, 3] });
      const list = (name: string, values: number | readonly number[]): Value =>
        graph.addInitializer(
          typeof values === 'number' ? Tensor.ofInts(name, [], [values]) : Tensor.ofInts(name, [values.length], values),
        );
      const attributes: Record<string, Attribute> = { axis: int(1), keepdims: int(keepdims) };
      const inputs = split === undefined ? [x] : [x, list('split', split)];
      const [parts] = node('SplitToSequence', inputs, attributes);
      const [second] = node('SequenceAt', [parts, list('one', 1)]);
      const [last] = node('SequenceAt', [parts, list('minus', -1)]);
      const [length] = node('SequenceLength', [parts]);
      const [pair] = node('SequenceConstruct', [second, second]);
      const [stacked] = node('ConcatFromSequence', [pair], { axis: int(-1), new_axis: int(1) });
      const results = [second!, last!, length!, stacked!];
      if (keepdims === 1) results.push(node('ConcatFromSequence', [parts], { axis: int(1) })[0]!);
      for (const value of results) graph.addOutput(value);
      const table = inferShapes(model);
      expect(table.unknown).toEqual([]);
      expect(table.typeOf(parts!)).toBeUndefined();
      const actual = await runModel(model, { x: feedOf(table.require(x)) });
      for (const value of results) expect(table.require(value).dims).toEqual(actual[value.name]!.dims);
      expect(table.constantOf(length!)).toEqual(Array.from(actual[length!.name]!.data as BigInt64Array, Number));
    }
  });

  it('refuses a place that is not there', () => {
    const { model, graph, node } = buildModel(17);
    const x = graph.addInput('x', { dataType: FLOAT, dims: [2] });
    const at = graph.addInitializer(Tensor.ofInts('at', [], [1]));
    graph.addOutput(node('SequenceAt', [node('SequenceConstruct', [x])[0], at], {}, { name: 'pick' })[0]!);
    expect(() => inferShapes(model)).toThrow("no such place in a sequence of 1; SequenceAt 'pick'");
  });
});
