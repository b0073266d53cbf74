import { describe, expect, it } from 'vitest';
import { readModel } from '../../src/graph/read.js';
import { inferShapes } from '../../src/ops/infer.js';
import {
  field,
  flat,
  graphProto,
  modelProto,
  nodeProto,
  numberField,
  rawData,
  tensorProto,
  valueInfoProto,
} from '../support/build.js';

/** Found by fuzzing: rules that listed every index of an axis ran out of memory on a damaged model. */
describe('axes of 2^32 − 1', () => {
  const huge = 2 ** 32 - 1;
  const list = (name: string, ...values: number[]): Buffer =>
    tensorProto(name, [values.length], 7, rawData(Buffer.from(BigInt64Array.from(values, BigInt).buffer)));

  function typesOf(node: Uint8Array, outputs: readonly string[], initializers: readonly Uint8Array[] = []): unknown[] {
    const graph = graphProto({
      nodes: [node],
      initializers,
      inputs: [valueInfoProto('x', [2, huge])],
      outputs: outputs.map((name) => flat(field(1, name))),
    });
    const model = readModel(modelProto(graph, { opset: 18 }));
    const table = inferShapes(model);
    return outputs.map((name) => table.typeOf(model.graph.value(name)!)?.dims);
  }

  it('are sliced', () => {
    const lists = [list('starts', 5), list('ends', -1), list('axes', 1), list('steps', 2)];
    const node = nodeProto({ op: 'Slice', inputs: ['x', 'starts', 'ends', 'axes', 'steps'], outputs: ['y'] });
    expect(typesOf(node, ['y'], lists)).toEqual([[2, (huge - 1 - 5 + 1) / 2]]);
  });

  it('are split, also into more parts than there are outputs', () => {
    const split = (parts: number): Buffer =>
      nodeProto({
        op: 'Split',
        inputs: ['x'],
        outputs: ['y', 'z'],
        attributes: [
          flat(field(1, 'axis'), numberField(3, 1), numberField(20, 2)),
          flat(field(1, 'num_outputs'), numberField(3, parts), numberField(20, 2)),
        ],
      });
    expect(typesOf(split(2), ['y', 'z'])).toEqual([
      [2, 2 ** 31],
      [2, 2 ** 31 - 1],
    ]);
    expect(typesOf(split(huge), ['y', 'z'])).toEqual([
      [2, 1],
      [2, 1],
    ]);
  });

  it('are left to the run where each index would be a tensor', () => {
    const node = nodeProto({
      op: 'SplitToSequence',
      inputs: ['x'],
      outputs: ['y'],
      attributes: [flat(field(1, 'axis'), numberField(3, 1), numberField(20, 2))],
    });
    expect(typesOf(node, ['y'])).toEqual([undefined]);
  });
});
