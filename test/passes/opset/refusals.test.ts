import { describe, expect, it } from 'vitest';
import { modelBytes } from '../../../src/graph/write.js';
import { readModel } from '../../../src/graph/read.js';
import { FLOAT } from '../../../src/onnx/data-type.js';
import { Tensor } from '../../../src/onnx/tensor.js';
import { raiseOpset } from '../../../src/passes/raise-opset.js';
import { runPasses } from '../../../src/passes/runner.js';
import { buildModel, float, int } from '../../ops/support/build.js';
import type { Case } from '../../ops/support/compare.js';
import { field, flat, graphProto, modelProto, nodeProto, numberField, valueInfoProto } from '../../support/build.js';
import { feedsOf, modelOf, outputsOf, raiseAndCompare, relativeDifference } from '../support/raised.js';

const x = { dims: [2, 3, 4, 5] };
const parameters = [{ dims: [3] }, { dims: [3] }, { dims: [3] }, { dims: [3], values: [1, 2, 3] }];

const refused: readonly (readonly [string, Case, string])[] = [
  [
    'a Dropout that drops',
    { opset: 6, opType: 'Dropout', inputs: [x] },
    'Dropout cannot be raised: it drops at random (is_test = 0)',
  ],
  [
    'a Dropout whose mask is read',
    { opset: 9, opType: 'Dropout', inputs: [x], outputs: 2 },
    'Dropout cannot be raised: its mask is read',
  ],
  [
    'a BatchNormalization that trains',
    { opset: 6, opType: 'BatchNormalization', inputs: [x, ...parameters] },
    'BatchNormalization cannot be raised: it is in training form (is_test = 0)',
  ],
  [
    'a BatchNormalization whose saved statistics are read',
    { opset: 9, opType: 'BatchNormalization', inputs: [x, ...parameters], outputs: 5 },
    'BatchNormalization cannot be raised: its saved statistics are read',
  ],
  [
    'scales that are an input of the model',
    { opset: 10, opType: 'Resize', inputs: [x, { dims: [4] }] },
    'Resize cannot be raised: whether its scales enlarge or shrink is not known before the run',
  ],
  [
    'a norm of no whole number',
    { opset: 1, opType: 'GlobalLpPool', inputs: [x], attributes: { p: float(1.5) } },
    'GlobalLpPool cannot be raised: its norm is of p = 1.5',
  ],
  [
    'an operator that ai.onnx does not have',
    { opset: 9, opType: 'ATen', inputs: [x] },
    'ATen cannot be raised: what changed in it from opset 9 to 17 is not known',
  ],
  [
    'an operator of a later opset',
    { opset: 9, opType: 'HardSwish', inputs: [x] },
    'HardSwish cannot be raised: opset 9 does not have it, it came with 14',
  ],
  [
    'an operator without an adapter',
    { opset: 6, opType: 'RNN', inputs: [{ dims: [3, 1, 2] }, { dims: [1, 4, 2] }, { dims: [1, 4, 4] }], outputs: 2 },
    'RNN cannot be raised: its outputs were chosen by output_sequence up to ai.onnx 6',
  ],
];

describe('what cannot be raised', () => {
  it.each(refused)('%s', (_, single, message) => {
    expect(() => runPasses(modelOf(single), [raiseOpset()])).toThrow(message);
  });

  it('is named, with what to do', () => {
    expect(() => runPasses(modelOf(refused[6]![1]), [raiseOpset()])).toThrow(
      expect.objectContaining({
        code: 'UNSUPPORTED',
        remedy: 'export the model again with opset 17 or later',
        fact: 'pass raise-opset does not apply: ATen cannot be raised: what changed in it from opset 9 to 17 is not known',
        place: "ATen 'ATen', the first pass",
      }),
    );
  });

  it('is a target that the rules do not reach', () => {
    for (const target of [8, 24, 17.5, Number.NaN]) {
      expect(() => raiseOpset(target)).toThrow(`no model can be raised to opset ${target}`);
    }
  });

  /** y = If(c) of two bodies with one node each, which read x from outside. */
  const branches = (opset: number, node: Uint8Array): Uint8Array => {
    const body = graphProto({ nodes: [node], outputs: [valueInfoProto('z', [3])] });
    const attribute = (name: string): Uint8Array => flat(field(1, name), field(6, body), numberField(20, 5));
    const graph = graphProto({
      nodes: [
        nodeProto({
          op: 'If',
          name: 'choose',
          inputs: ['c'],
          outputs: ['y'],
          attributes: [attribute('then_branch'), attribute('else_branch')],
        }),
      ],
      inputs: [valueInfoProto('c', [], 9), valueInfoProto('x', [3])],
      outputs: [valueInfoProto('y', [3])],
    });
    return modelProto(graph, { opset });
  };

  it('is a body with a node that changed', () => {
    const bytes = branches(10, nodeProto({ op: 'Clip', name: 'inner', inputs: ['x'], outputs: ['z'] }));
    expect(() => runPasses(readModel(bytes), [raiseOpset()])).toThrow(
      "If cannot be raised: its body holds Clip 'inner', and it changed in opset 11; If 'choose', the first pass; export the model again with opset 17 or later",
    );
  });

  it('is a model with functions of its own, whose bodies are not looked into', () => {
    const graph = graphProto({
      nodes: [nodeProto({ op: 'Relu', inputs: ['x'], outputs: ['y'] })],
      inputs: [valueInfoProto('x', [3])],
      outputs: [valueInfoProto('y', [3])],
    });
    const extra = field(25, field(1, 'Twice'), field(10, 'own'));
    expect(() => runPasses(readModel(modelProto(graph, { opset: 15, extra })), [raiseOpset()])).toThrow(
      'the model defines functions of its own, such as own:Twice',
    );
  });

  it('is a stretched input of unknown rank', () => {
    const { model, graph, node } = buildModel(6, { own: 1 });
    const input = graph.addInput('x', { dataType: FLOAT, dims: [2, 3] });
    const [strange] = node('Strange', [input], {}, { domain: 'own' });
    graph.addOutput(node('Mul', [strange, input], { broadcast: int(1), axis: int(0) })[0]!);
    expect(() => runPasses(model, [raiseOpset()])).toThrow(
      'Mul cannot be raised: the ranks of its inputs are not known',
    );
  });

  it('is no body whose nodes mean the same', async () => {
    const bytes = branches(11, nodeProto({ op: 'Relu', inputs: ['x'], outputs: ['z'] }));
    expect((await raiseAndCompare(readModel(bytes))).difference).toBe(0);
  });
});

describe('raising around the nodes', () => {
  it('leaves nodes of other domains alone', async () => {
    const { model, graph, node } = buildModel(11, { 'com.microsoft': 1 });
    const input = graph.addInput('x', { dataType: FLOAT, dims: [2, 3] });
    const [gelu] = node('Gelu', [input], {}, { domain: 'com.microsoft' });
    graph.addOutput(node('Softmax', [gelu], { axis: int(0) })[0]!);
    const { difference, operators } = await raiseAndCompare(model);
    expect([difference, operators]).toEqual([0, 'Gelu Flatten Shape Softmax Reshape']);
    expect(model.opsets.get('com.microsoft')).toBe(1);
  });

  it('holds for every size of an open dimension', async () => {
    const { model, graph, node } = buildModel(9);
    const input = graph.addInput('x', { dataType: FLOAT, dims: ['batch', 3, 'h', 'h'] });
    const [small] = node('Upsample', [
      input,
      graph.addInitializer(Tensor.ofFloats('s', [4], new Float32Array([1, 1, 2, 2]))),
    ]);
    graph.addOutput(node('LogSoftmax', [small])[0]!);
    const before = modelBytes(model);
    runPasses(model, [raiseOpset()]);
    for (const [batch, side] of [
      [1, 1],
      [3, 2],
      [1, 5],
    ] as const) {
      const { data } = feedsOf(modelOf({ opset: 9, opType: 'Relu', inputs: [{ dims: [batch, 3, side, side] }] }))[
        'in0'
      ]!;
      const feeds = { x: { type: 'float32', dims: [batch, 3, side, side], data } } as const;
      expect(relativeDifference(await outputsOf(model, feeds), await outputsOf(before, feeds))).toBe(0);
    }
  });

  it('raises the IR version to that of the opset, and never lowers it', () => {
    for (const [opset, target, ir, expected] of [
      [7, 9, 3, 4],
      [9, 13, 4, 7],
      [9, 17, 4, 8],
      [9, 17, 10, 10],
      [9, 21, 4, 10],
      [17, 23, 8, 11],
    ] as const) {
      const model = modelOf({ opset, opType: 'Relu', inputs: [x] });
      model.irVersion = ir;
      runPasses(model, [raiseOpset(target)]);
      expect(model.irVersion).toBe(expected);
    }
  });

  it('names new constants from the node, and removes those that are not read any more', () => {
    const model = modelOf({ opset: 10, opType: 'Resize', inputs: [x, { floats: [1, 1, 2, 0.5] }] });
    runPasses(model, [raiseOpset()]);
    expect(model.graph.initializers.map(({ name }) => name)).toEqual(['Resize.shrink', 'Resize.enlarge']);
  });

  it('drops a mask that nothing reads', async () => {
    for (const opset of [7, 10, 11]) {
      const model = modelOf({ opset, opType: 'Dropout', inputs: [x], outputs: 2 });
      for (const value of model.graph.outputs.splice(1)) value.isOutput = false;
      expect((await raiseAndCompare(model)).difference).toBe(0);
      expect(model.graph.nodes[0]!.outputs.length).toBe(1);
    }
  });

  it('takes the initializers of IR 3 from the inputs, and leaves those that may be overridden', async () => {
    for (const irVersion of [3, 8]) {
      const model = modelOf({ opset: 8, opType: 'Add', inputs: [x, { dims: [5], values: [1, 2, 3, 4, 5] }] });
      model.graph.addInput('in1', { dataType: FLOAT, dims: [5] });
      model.irVersion = irVersion;
      expect((await raiseAndCompare(model)).difference).toBe(0);
      expect(model.graph.inputs.map(({ name }) => name)).toEqual(irVersion === 3 ? ['in0'] : ['in0', 'in1']);
    }
  });

  it('keeps the largest integer, which exporters write for "to the end"', async () => {
    const list = (name: string, value: bigint): Uint8Array =>
      flat(field(1, name), numberField(8, value), numberField(20, 7));
    const attributes = [list('axes', 0n), list('starts', 1n), list('ends', 2n ** 63n - 1n)];
    const graph = graphProto({
      nodes: [nodeProto({ op: 'Slice', name: 'rest', inputs: ['x'], outputs: ['y'], attributes })],
      inputs: [valueInfoProto('x', [5])],
      outputs: [valueInfoProto('y', [4])],
    });
    const model = readModel(modelProto(graph, { opset: 9 }));
    expect((await raiseAndCompare(model)).difference).toBe(0);
    const ends = model.graph.value('rest.ends')!.tensor!.bytes();
    expect(new DataView(ends.buffer, ends.byteOffset).getBigInt64(0, true)).toBe(2n ** 63n - 1n);
  });

  it('keeps a BatchNormalization that trains what it is', async () => {
    const model = modelOf({ opset: 9, opType: 'BatchNormalization', inputs: [x, ...parameters], outputs: 5 });
    const { graph } = model;
    for (const value of graph.outputs.splice(3)) value.isOutput = false;
    const { difference } = await raiseAndCompare(model);
    expect(difference).toBe(0);
    expect(graph.nodes[0]!.int('training_mode')).toBe(1);
  });
});
