import { describe, expect, it } from 'vitest';
import type { Attribute } from '../../../src/graph/attribute.js';
import { DOUBLE, INT64 } from '../../../src/onnx/data-type.js';
import { raiseOpset } from '../../../src/passes/raise-opset.js';
import { runPasses } from '../../../src/passes/runner.js';
import { float, int, ints, string } from '../../ops/support/build.js';
import type { Case, Operand } from '../../ops/support/compare.js';
import { type Feeds, feedsOf, modelOf, outputsOf, raiseAndCompare, relativeDifference } from '../support/raised.js';

/**
 * onnxruntime runs little of ai.onnx 1 to 6. What it does not run is held against the same function written in opset 17
 * by hand, or computed here.
 */
const x: Operand = { dims: [2, 3, 4, 5] };
const consumed: Record<string, Attribute> = { consumed_inputs: ints([0, 0]) };
const training = 17;

async function outputOf(single: Case): Promise<{ readonly outputs: Feeds; readonly feeds: Feeds }> {
  const model = modelOf(single);
  const feeds = feedsOf(model);
  if (single.opset < training) runPasses(model, [raiseOpset()]);
  return { outputs: await outputsOf(model, feeds), feeds };
}

/** The older call, raised, beside the call of opset 17 that means the same; one output each. */
const pairs: readonly (readonly [string, Case, Omit<Case, 'opset'>])[] = [
  ...['Add', 'Sub', 'Mul', 'Div'].flatMap((opType): (readonly [string, Case, Omit<Case, 'opset'>])[] => [
    [
      'stretched from axis 1',
      { opset: 6, opType, inputs: [x, { dims: [3] }], attributes: { broadcast: int(1), axis: int(1) } },
      { opType, inputs: [x, { dims: [3, 1, 1] }] },
    ],
    [
      'stretched over the middle',
      { opset: 5, opType, inputs: [x, { dims: [3, 4] }], attributes: { broadcast: int(1), axis: int(1), ...consumed } },
      { opType, inputs: [x, { dims: [3, 4, 1] }] },
    ],
    [
      'stretched at the end',
      { opset: 6, opType, inputs: [x, { dims: [4, 5] }], attributes: { broadcast: int(1) } },
      { opType, inputs: [x, { dims: [4, 5] }] },
    ],
    ['of equal shapes', { opset: 1, opType, inputs: [x, x], attributes: consumed }, { opType, inputs: [x, x] }],
  ]),
  [
    'stretched from axis 0',
    { opset: 6, opType: 'Greater', inputs: [x, { dims: [2] }], attributes: { broadcast: int(1), axis: int(0) } },
    { opType: 'Greater', inputs: [x, { dims: [2, 1, 1, 1] }] },
  ],
  [
    'stretched from axis 2',
    {
      opset: 6,
      opType: 'Pow',
      inputs: [x, { dims: [4], values: [1, 2, 3, 4] }],
      attributes: { broadcast: int(1), axis: int(2) },
    },
    { opType: 'Pow', inputs: [x, { dims: [4, 1], values: [1, 2, 3, 4] }] },
  ],
  [
    'with C stretched',
    {
      opset: 6,
      opType: 'Gemm',
      inputs: [{ dims: [2, 3] }, { dims: [3, 4] }, { dims: [4] }],
      attributes: { broadcast: int(1) },
    },
    { opType: 'Gemm', inputs: [{ dims: [2, 3] }, { dims: [3, 4] }, { dims: [4] }] },
  ],
  [
    'with a slope per channel',
    { opset: 6, opType: 'PRelu', inputs: [x, { dims: [3] }] },
    { opType: 'PRelu', inputs: [x, { dims: [3, 1, 1] }] },
  ],
  [
    'with one slope',
    { opset: 1, opType: 'PRelu', inputs: [x, { dims: [1] }], attributes: consumed },
    { opType: 'PRelu', inputs: [x, { dims: [1] }] },
  ],
  [
    'with a slope per column',
    { opset: 6, opType: 'PRelu', inputs: [{ dims: [4, 3] }, { dims: [3] }] },
    { opType: 'PRelu', inputs: [{ dims: [4, 3] }, { dims: [3] }] },
  ],
  [
    'in inference',
    {
      opset: 5,
      opType: 'BatchNormalization',
      inputs: [x, { dims: [3] }, { dims: [3] }, { dims: [3] }, { dims: [3], values: [1, 2, 3] }],
      attributes: { is_test: int(1), epsilon: float(1e-3), spatial: int(1), consumed_inputs: ints([0, 0, 0, 1, 1]) },
    },
    {
      opType: 'BatchNormalization',
      inputs: [x, { dims: [3] }, { dims: [3] }, { dims: [3] }, { dims: [3], values: [1, 2, 3] }],
      attributes: { epsilon: float(1e-3) },
    },
  ],
  [
    'in inference',
    { opset: 6, opType: 'Dropout', inputs: [x], attributes: { is_test: int(1), ratio: float(0.7) } },
    { opType: 'Identity', inputs: [x] },
  ],
  [
    'by name',
    { opset: 5, opType: 'Cast', inputs: [x], attributes: { to: string('INT32') } },
    { opType: 'Cast', inputs: [x], attributes: { to: int(6) } },
  ],
  [
    'to DOUBLE',
    { opset: 1, opType: 'Cast', inputs: [x], attributes: { to: string('DOUBLE') } },
    { opType: 'Cast', inputs: [x], attributes: { to: int(DOUBLE) } },
  ],
  [
    'to FLOAT',
    { opset: 1, opType: 'Cast', inputs: [{ dims: [4], dataType: INT64 }], attributes: { to: string('FLOAT') } },
    { opType: 'Cast', inputs: [{ dims: [4], dataType: INT64 }], attributes: { to: int(1) } },
  ],
  [
    'along axis 1',
    { opset: 3, opType: 'Concat', inputs: [x, x] },
    { opType: 'Concat', inputs: [x, x], attributes: { axis: int(1) } },
  ],
  [
    'with its shape as an attribute',
    { opset: 4, opType: 'Reshape', inputs: [x], attributes: { shape: ints([0, -1]), consumed_inputs: ints([0]) } },
    { opType: 'Reshape', inputs: [x, { ints: [0, -1] }] },
  ],
  [
    'with both bounds',
    {
      opset: 1,
      opType: 'Clip',
      inputs: [x],
      attributes: { min: float(-0.25), max: float(0.5), consumed_inputs: ints([0]) },
    },
    { opType: 'Clip', inputs: [x, { dims: [], values: [-0.25] }, { dims: [], values: [0.5] }] },
  ],
  ...['Relu', 'Sigmoid', 'Tanh', 'Exp', 'LeakyRelu', 'Neg'].map(
    (opType): readonly [string, Case, Omit<Case, 'opset'>] => [
      'with consumed_inputs',
      { opset: 1, opType, inputs: [x], attributes: { consumed_inputs: ints([0]) } },
      { opType, inputs: [x] },
    ],
  ),
  [
    'with the defaults of ai.onnx 1',
    { opset: 1, opType: 'Selu', inputs: [x] },
    { opType: 'Selu', inputs: [x], attributes: { alpha: float(1.6732), gamma: float(1.0507) } },
  ],
  [
    'of a float norm',
    { opset: 1, opType: 'LpPool', inputs: [x], attributes: { p: float(1), kernel_shape: ints([2, 2]) } },
    { opType: 'LpPool', inputs: [x], attributes: { p: int(1), kernel_shape: ints([2, 2]) } },
  ],
  [
    'of a float norm',
    { opset: 1, opType: 'GlobalLpPool', inputs: [x], attributes: { p: float(3) } },
    { opType: 'GlobalLpPool', inputs: [x], attributes: { p: int(3) } },
  ],
  [
    'without count_include_pad',
    {
      opset: 1,
      opType: 'AveragePool',
      inputs: [x],
      attributes: { kernel_shape: ints([3, 3]), pads: ints([1, 1, 1, 1]) },
    },
    { opType: 'AveragePool', inputs: [x], attributes: { kernel_shape: ints([3, 3]), pads: ints([1, 1, 1, 1]) } },
  ],
];

describe('calls of ai.onnx 1 to 6, raised, against opset 17 written by hand', () => {
  it.each(
    pairs.map(([how, older, newer]): [string, string, Case, Omit<Case, 'opset'>] => [older.opType, how, older, newer]),
  )('%s %s', async (_, __, older, newer) => {
    const { outputs } = await outputOf(older);
    const { outputs: expected } = await outputOf({ ...newer, opset: training });
    const only = (feeds: Feeds): Feeds => ({ y: Object.values(feeds)[0]! });
    // The same kernel on the same numbers.
    expect(relativeDifference(only(outputs), only(expected))).toBe(0);
  });

  it.each([
    ['Pad', { opset: 2, opType: 'Pad', inputs: [x], attributes: { pads: ints([0, 0, 1, 1, 0, 0, 0, 2]) } }],
    [
      'Split',
      { opset: 2, opType: 'Split', inputs: [x], attributes: { axis: int(2), split: ints([1, 3]) }, outputs: 2 },
    ],
    ['Softmax', { opset: 1, opType: 'Softmax', inputs: [x] }],
    ['Squeeze', { opset: 1, opType: 'Squeeze', inputs: [{ dims: [1, 3] }], attributes: { axes: ints([0]) } }],
    [
      'Slice',
      { opset: 1, opType: 'Slice', inputs: [x], attributes: { starts: ints([1]), ends: ints([3]), axes: ints([2]) } },
    ],
    ['Clip', { opset: 6, opType: 'Clip', inputs: [x], attributes: { max: float(0.5) } }],
    ['Conv', { opset: 1, opType: 'Conv', inputs: [x, { dims: [2, 3, 3, 3] }] }],
    ['MaxPool', { opset: 1, opType: 'MaxPool', inputs: [x], attributes: { kernel_shape: ints([2, 2]) } }],
    ['Sum', { opset: 6, opType: 'Sum', inputs: [x, x] }],
    ['Tile', { opset: 6, opType: 'Tile', inputs: [x, { ints: [1, 2, 1, 1] }] }],
    ['TopK', { opset: 1, opType: 'TopK', inputs: [x], attributes: { k: int(2) }, outputs: 2 }],
  ] as [string, Case][])('%s, which onnxruntime runs as it was', async (_, single) => {
    expect((await raiseAndCompare(modelOf(single))).difference).toBe(0);
  });

  it('Split of ai.onnx 1 took its sizes as an input', async () => {
    const sizes: Operand = { ints: [1, 3] };
    const { outputs, feeds } = await outputOf({
      opset: 1,
      opType: 'Split',
      inputs: [x, sizes],
      attributes: { axis: int(2) },
      outputs: 2,
    });
    const all = [...feeds['in0']!.data].map(Number);
    const rows = (from: number, to: number): number[] =>
      Array.from({ length: 6 }, (_, i) => all.slice(i * 20 + from * 5, i * 20 + to * 5)).flat();
    expect(Object.values(outputs).map(({ dims }) => dims)).toEqual([
      [2, 3, 1, 5],
      [2, 3, 3, 5],
    ]);
    expect(Object.values(outputs).map(({ data }) => Array.from(data, Number))).toEqual([rows(0, 1), rows(1, 4)]);
  });
});
