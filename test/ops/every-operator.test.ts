import { describe, expect, it } from 'vitest';
import { BOOL, FLOAT, FLOAT16, INT32, INT64 } from '../../src/onnx/data-type.js';
import { Tensor } from '../../src/onnx/tensor.js';
import { allOperators } from './support/operators.js';
import { float, int, ints, string } from './support/build.js';
import { type Case, compareNode, type Operand } from './support/compare.js';

const UINT8 = 2;
const INT8 = 3;
type Single = Omit<Case, 'opType' | 'opset' | 'domain'> & { readonly opset?: number };

const x = (...dims: number[]): Operand => ({ dims });
const typed = (dataType: number, ...dims: number[]): Operand => ({ dims, dataType });
const c = (values: readonly number[], dataType = FLOAT, dims = [values.length]): Operand => ({
  dims,
  values,
  dataType,
});
const i64 = (...values: number[]): Operand => c(values, INT64);
const scale: Operand = c([0.5], FLOAT, []);
const zeroPoint: Operand = c([3], UINT8, []);
const image = x(2, 3, 8, 6);
const bytes = typed(UINT8, 2, 3, 8, 6);
const numbers = c([-2.5, -1.5, -0.5, 0, 0.5, 1.5, 2.25, 7]);
const pairs: readonly Single[] = [
  { inputs: [x(2, 3, 4), x(3, 1)] },
  { inputs: [c([-7, -2, 5, 9], INT64), i64(3, -3, 2, 4)] },
  { inputs: [c([-7, -2.5, 5, 9]), c([2])] },
];

const unaryMath: readonly Single[] = [{ inputs: [image] }, { inputs: [numbers] }];
const truths: readonly Single[] = [
  { inputs: [typed(BOOL, 2, 1), typed(BOOL, 3)] },
  { inputs: [c([0, 0, 1, 1], BOOL), c([0, 1, 0, 1], BOOL)] },
];
const whole: readonly Single[] = [{ inputs: [typed(INT32, 2, 1), typed(INT32, 3)], opset: 18 }];
const reductions: readonly Single[] = [
  { inputs: [image, i64(1, -1)], opset: 18 },
  { inputs: [c([1, 2, 3, 4, 5, 6], FLOAT, [2, 3]), i64(1)], opset: 18 },
  { inputs: [c([1, 2, 3, 4, 5, 6], FLOAT, [2, 3])], opset: 18, attributes: { keepdims: int(0) } },
];
const norm: readonly Operand[] = [x(2, 5, 8), x(2, 5, 8), x(8)];
const window = { kernel_shape: ints([3, 3]), strides: ints([2, 2]), pads: ints([1, 0, 1, 0]) };

/** At least one case for every operator of the index. */
const table: Readonly<Record<string, readonly Single[]>> = {
  ...Object.fromEntries(
    [
      ...['Abs', 'Acos', 'Acosh', 'Asin', 'Asinh', 'Atan', 'Atanh', 'Ceil', 'Celu', 'Cos', 'Cosh', 'Elu', 'Erf', 'Exp'],
      ...['Floor', 'HardSigmoid', 'HardSwish', 'Identity', 'LeakyRelu', 'Log', 'Neg', 'Reciprocal', 'Relu', 'Round'],
      ...['Selu', 'Shrink', 'Sigmoid', 'Sign', 'Sin', 'Sinh', 'Softplus', 'Softsign', 'Sqrt', 'Tan', 'Tanh', 'IsNaN'],
      ...[
        'ThresholdedRelu',
        'IsInf',
        'Softmax',
        'LogSoftmax',
        'Hardmax',
        'LpNormalization',
        'MeanVarianceNormalization',
      ],
    ].map((opType) => [opType, opType === 'MeanVarianceNormalization' ? [{ inputs: [image] }] : unaryMath]),
  ),
  ...Object.fromEntries(
    ['Add', 'Sub', 'Mul', 'Div', 'Equal', 'Greater', 'GreaterOrEqual', 'Less', 'LessOrEqual', 'Min', 'Max'].map(
      (opType) => [opType, pairs],
    ),
  ),
  ...Object.fromEntries(
    ['Sum', 'Mean'].map((opType) => [
      opType,
      [{ inputs: [x(2, 1), x(3), x(4, 1, 1)] }, { inputs: [c([1, 2]), c([3, 5])] }],
    ]),
  ),
  ...Object.fromEntries(['And', 'Or', 'Xor'].map((opType) => [opType, truths])),
  ...Object.fromEntries(['BitwiseAnd', 'BitwiseOr', 'BitwiseXor'].map((opType) => [opType, whole])),
  ...Object.fromEntries(
    [
      'ReduceL1',
      'ReduceL2',
      'ReduceLogSum',
      'ReduceLogSumExp',
      'ReduceMax',
      'ReduceMean',
      'ReduceMin',
      'ReduceProd',
      'ReduceSum',
      'ReduceSumSquare',
    ].map((opType) => [opType, reductions]),
  ),
  ArgMax: [{ inputs: [image], attributes: { axis: int(-1) } }],
  ArgMin: [{ inputs: [image], attributes: { axis: int(1), keepdims: int(0) } }],
  Attention: [
    { inputs: [x(2, 4, 5, 8), x(2, 4, 7, 8), x(2, 4, 7, 6)], opset: 23 },
    {
      inputs: [x(2, 5, 32), x(2, 7, 16), x(2, 7, 16)],
      opset: 23,
      attributes: { q_num_heads: int(4), kv_num_heads: int(2) },
    },
    {
      inputs: [x(2, 4, 5, 8), x(2, 4, 7, 8), x(2, 4, 7, 6), undefined, x(2, 4, 3, 8), x(2, 4, 3, 6)],
      opset: 23,
      outputs: 3,
    },
  ],
  AveragePool: [{ inputs: [image], attributes: window }],
  BatchNormalization: [
    { inputs: [image, x(3), x(3), x(3), x(3)] },
    { inputs: [image, x(3), x(3), x(3), x(3)], outputs: 3, opset: 15, attributes: { training_mode: int(1) } },
  ],
  Bernoulli: [{ inputs: [image] }, { inputs: [image], attributes: { dtype: int(INT64) } }],
  BitShift: [{ inputs: [typed(UINT8, 4), typed(UINT8, 1)], attributes: { direction: string('LEFT') } }],
  BitwiseNot: [{ inputs: [typed(INT32, 2, 3)], opset: 18 }],
  Cast: [
    { inputs: [image], attributes: { to: int(FLOAT16) } },
    { inputs: [numbers], attributes: { to: int(INT64) } },
    { inputs: [numbers], attributes: { to: int(BOOL) } },
  ],
  CastLike: [{ inputs: [image, typed(INT32, 1)] }, { inputs: [numbers, i64(1)] }],
  Clip: [
    { inputs: [image, c([0], FLOAT, []), c([6], FLOAT, [])] },
    { inputs: [numbers, c([-1], FLOAT, [])] },
    { inputs: [numbers], opset: 10, attributes: { max: float(1) } },
  ],
  Col2Im: [{ inputs: [x(2, 12, 6), i64(4, 6), i64(2, 2)], opset: 18, attributes: { strides: ints([2, 2]) } }],
  Concat: [
    { inputs: [x(2, 3), x(2, 4)], attributes: { axis: int(-1) } },
    { inputs: [c([1, 2, 3, 4], INT64, [2, 2]), c([5, 6], INT64, [2, 1])], attributes: { axis: int(1) } },
    { inputs: [c([1, 2], INT64, [1, 2]), c([5, 6, 7, 8], INT64, [2, 2])], attributes: { axis: int(0) } },
  ],
  Constant: [
    { inputs: [], attributes: { value: { type: 'tensor', value: Tensor.ofInts('', [2], [3, 4]) } } },
    { inputs: [], attributes: { value_floats: { type: 'floats', value: [0.5, 1] } } },
    { inputs: [], attributes: { value_int: int(5) } },
    { inputs: [], attributes: { value_float: float(0.1) } },
    { inputs: [], attributes: { value_ints: ints([5, 6]) } },
  ],
  ConstantOfShape: [
    { inputs: [i64(2, 3)] },
    { inputs: [i64(2)], attributes: { value: { type: 'tensor', value: Tensor.ofInts('', [1], [7]) } } },
    { inputs: [{ ints: [] }] },
  ],
  Conv: [{ inputs: [image, x(4, 3, 3, 3)], attributes: window }],
  ConvInteger: [{ inputs: [bytes, typed(UINT8, 4, 3, 3, 3)], attributes: window }],
  ConvTranspose: [
    { inputs: [image, x(3, 4, 3, 3)], attributes: window },
    { inputs: [image, x(3, 4, 3, 3)], attributes: { output_shape: ints([16, 12]), strides: ints([2, 2]) } },
    { inputs: [x(1, 4, 5, 5), x(4, 2, 2, 2)], attributes: { group: int(2), strides: ints([2, 2]) } },
  ],
  CumSum: [{ inputs: [image, { scalar: 1 }] }],
  DepthToSpace: [{ inputs: [x(1, 8, 2, 3)], attributes: { blocksize: int(2) } }],
  DequantizeLinear: [{ inputs: [bytes, scale, zeroPoint] }],
  Dropout: [
    { inputs: [image], outputs: 2 },
    { inputs: [image], outputs: 2, opset: 9 },
    { inputs: [image], outputs: 2, opset: 7 },
  ],
  DynamicQuantizeLinear: [{ inputs: [image], outputs: 3 }],
  Einsum: [
    { inputs: [x(2, 4, 5, 8), x(2, 4, 7, 8)], attributes: { equation: string('bhid,bhjd->bhij') } },
    { inputs: [x(2, 3, 4), x(4, 5)], attributes: { equation: string('...i,ij->...j') } },
    { inputs: [x(3, 4), x(4, 5)], attributes: { equation: string('ij, jk') } },
    { inputs: [x(3, 3)], attributes: { equation: string('ij->ji') } },
  ],
  Expand: [{ inputs: [x(3, 1), i64(2, 1, 4)] }, { inputs: [c([1, 2], INT64, [2, 1]), i64(2, 2)] }],
  EyeLike: [{ inputs: [x(3, 4)] }, { inputs: [x(3, 4)], attributes: { dtype: int(INT64) } }],
  Flatten: [{ inputs: [image], attributes: { axis: int(-2) } }],
  Gather: [
    { inputs: [image, typed(INT64, 4, 2)], attributes: { axis: int(-3) } },
    { inputs: [i64(5, 6, 7), { scalar: -1 }] },
    { inputs: [c([1, 2, 3, 4], INT64, [2, 2]), i64(1, 0)], attributes: { axis: int(1) } },
  ],
  GatherElements: [{ inputs: [x(3, 3), typed(INT64, 2, 3)] }],
  GatherND: [
    { inputs: [x(2, 3, 4), typed(INT64, 5, 2)] },
    { inputs: [x(2, 3, 4), typed(INT64, 2, 1)], opset: 13, attributes: { batch_dims: int(1) } },
  ],
  Gelu: [{ inputs: [image], opset: 20 }],
  Gemm: [{ inputs: [x(2, 3), x(4, 3), x(4)], attributes: { transB: int(1) } }],
  GlobalAveragePool: [{ inputs: [image] }],
  GlobalLpPool: [{ inputs: [image] }],
  GlobalMaxPool: [{ inputs: [x(2, 3, 7)] }],
  GridSample: [{ inputs: [image, x(2, 5, 4, 2)], opset: 16 }],
  GroupNormalization: [{ inputs: [x(2, 4, 3), x(4), x(4)], opset: 21, attributes: { num_groups: int(2) } }],
  InstanceNormalization: [{ inputs: [image, x(3), x(3)] }],
  LRN: [{ inputs: [image], attributes: { size: int(3) } }],
  LayerNormalization: [{ inputs: [image, x(8, 6), x(8, 6)], outputs: 3, opset: 17, attributes: { axis: int(2) } }],
  LpPool: [{ inputs: [image], attributes: window }],
  MatMul: [{ inputs: [x(2, 1, 3, 4), x(5, 4, 2)] }],
  MatMulInteger: [{ inputs: [typed(UINT8, 2, 3), typed(UINT8, 3, 4)] }],
  MaxPool: [{ inputs: [image], outputs: 2, attributes: window }],
  Mish: [{ inputs: [image], opset: 18 }],
  Mod: [...pairs.slice(1, 2), { inputs: [c([-7, 7, -7]), c([3, -3, -3])], attributes: { fmod: int(1) } }],
  Multinomial: [{ inputs: [x(2, 4)], attributes: { sample_size: int(3) } }],
  NegativeLogLikelihoodLoss: [
    { inputs: [x(2, 3, 4), typed(INT64, 2, 4)] },
    { inputs: [x(2, 3, 4), typed(INT64, 2, 4)], attributes: { reduction: string('none') } },
  ],
  NonZero: [{ inputs: [c([0, 1, 2, 0], INT64, [2, 2])] }],
  Not: [{ inputs: [typed(BOOL, 3)] }, { inputs: [c([0, 1], BOOL)] }],
  OneHot: [
    { inputs: [typed(INT64, 2, 3), { scalar: 5 }, typed(FLOAT, 2)] },
    { inputs: [typed(INT64, 2, 3), i64(5), typed(FLOAT, 2)], attributes: { axis: int(0) } },
  ],
  PRelu: [{ inputs: [image, x(3, 1, 1)] }, { inputs: [numbers, c([0.25])] }],
  Pad: [{ inputs: [image, i64(0, 0, 1, 2, 0, 0, 3, 4)] }],
  Pow: [{ inputs: [x(2, 3), c([2], INT64)] }, { inputs: [c([2, 3]), c([0.5])] }],
  QLinearConv: [
    {
      inputs: [
        bytes,
        scale,
        zeroPoint,
        typed(UINT8, 4, 3, 3, 3),
        scale,
        zeroPoint,
        scale,
        zeroPoint,
        c([1, 2, 3, 4], INT32),
      ],
      attributes: window,
    },
  ],
  QLinearMatMul: [
    { inputs: [typed(UINT8, 2, 3), scale, zeroPoint, typed(UINT8, 3, 4), scale, zeroPoint, scale, zeroPoint] },
  ],
  QuantizeLinear: [
    { inputs: [image, scale, zeroPoint] },
    { inputs: [image, scale] },
    { inputs: [image, scale, c([0], INT8, [])] },
  ],
  RMSNormalization: [{ inputs: [x(2, 5, 8), x(8)], opset: 23 }],
  RandomNormal: [{ inputs: [], attributes: { shape: ints([2, 3]) } }],
  RandomNormalLike: [{ inputs: [image] }],
  RandomUniform: [{ inputs: [], attributes: { shape: ints([2, 3]), dtype: int(11) } }],
  RandomUniformLike: [{ inputs: [image] }],
  Range: [
    { inputs: [{ scalar: 2 }, { scalar: 11 }, { scalar: 3 }] },
    { inputs: [c([0], FLOAT, []), c([1], FLOAT, []), c([0.3], FLOAT, [])] },
    { inputs: [{ scalar: 5 }, { scalar: 0 }, { scalar: -2 }] },
  ],
  Reshape: [{ inputs: [image, i64(0, -1)] }, { inputs: [i64(1, 2, 3, 4), i64(2, 2)] }],
  Resize: [{ inputs: [image, undefined, c([1, 1, 2, 1.5])], opset: 13 }],
  ReverseSequence: [{ inputs: [x(4, 2, 3), c([1, 3], INT64)] }],
  Scatter: [{ inputs: [x(3, 3), typed(INT64, 1, 3), x(1, 3)], opset: 9 }],
  ScatterElements: [{ inputs: [x(3, 3), typed(INT64, 1, 3), x(1, 3)] }],
  ScatterND: [
    { inputs: [x(4, 3), typed(INT64, 2, 1), x(2, 3)] },
    { inputs: [i64(1, 2, 3, 4), c([1, 3], INT64, [2, 1]), i64(9, 8)] },
    { inputs: [c([1, 2, 3, 4], INT64, [2, 2]), c([-1], INT64, [1, 1]), c([9, 8], INT64, [1, 2])] },
  ],
  Shape: [{ inputs: [image] }, { inputs: [image], opset: 15, attributes: { start: int(1), end: int(-1) } }],
  SimplifiedLayerNormalization: [{ inputs: [x(2, 5, 8), x(8)], outputs: 2, attributes: { axis: int(-1) } }],
  Size: [{ inputs: [image] }],
  Slice: [
    { inputs: [image, i64(1), i64(-1), i64(2)] },
    { inputs: [c([1, 2, 3, 4, 5, 6], INT64, [2, 3]), i64(-1, 0), i64(-100, 3), i64(0, 1), i64(-1, 2)] },
  ],
  SoftmaxCrossEntropyLoss: [
    { inputs: [x(2, 3, 4), typed(INT64, 2, 4)], outputs: 2 },
    { inputs: [x(2, 3), typed(INT64, 2)], attributes: { reduction: string('none') } },
  ],
  SpaceToDepth: [{ inputs: [image], attributes: { blocksize: int(2) } }],
  Split: [
    { inputs: [image, i64(1, 2)], outputs: 2, attributes: { axis: int(1) } },
    { inputs: [i64(1, 2, 3, 4)], outputs: 2 },
  ],
  Squeeze: [{ inputs: [x(1, 3, 1), i64(-1)] }, { inputs: [c([4], INT64, [1, 1])] }],
  Tile: [{ inputs: [image, i64(1, 2, 1, 3)] }, { inputs: [c([1, 2], INT64, [1, 2]), i64(2, 2)] }],
  TopK: [{ inputs: [image, i64(4)], outputs: 2 }],
  Transpose: [
    { inputs: [image], attributes: { perm: ints([0, 2, 3, 1]) } },
    { inputs: [c([1, 2, 3, 4, 5, 6], INT64, [2, 3])] },
  ],
  Trilu: [{ inputs: [image], opset: 14 }],
  Unsqueeze: [{ inputs: [image, i64(0, -1)] }, { inputs: [{ scalar: 5 }, i64(0)] }],
  Upsample: [{ inputs: [image, c([1, 1, 2, 3])], opset: 9 }],
  Where: [{ inputs: [typed(BOOL, 2, 1), x(3), x(1)] }, { inputs: [c([0, 1], BOOL), i64(5, 6), i64(9)] }],
  'com.microsoft.Attention': [
    { inputs: [x(2, 5, 6), x(6, 24), x(24)], attributes: { num_heads: int(2) } },
    { inputs: [x(2, 5, 6), x(6, 20), x(20)], attributes: { num_heads: int(2), qkv_hidden_sizes: ints([8, 8, 4]) } },
    {
      inputs: [x(2, 5, 6), x(6, 24), x(24), undefined, x(2, 2, 2, 3, 4)],
      outputs: 2,
      attributes: { num_heads: int(2) },
    },
  ],
  'com.microsoft.BiasGelu': [{ inputs: [x(2, 8), x(8)] }],
  'com.microsoft.DequantizeLinear': [{ inputs: [bytes, scale, zeroPoint] }],
  'com.microsoft.FastGelu': [{ inputs: [x(2, 8), x(8)] }],
  'com.microsoft.FusedConv': [
    { inputs: [image, x(4, 3, 3, 3), x(4)], attributes: { ...window, activation: string('Relu') } },
  ],
  'com.microsoft.FusedGemm': [{ inputs: [x(2, 3), x(3, 4), x(4)], attributes: { activation: string('Relu') } }],
  'com.microsoft.FusedMatMul': [
    { inputs: [x(2, 3, 4), x(2, 3, 5)], attributes: { transA: int(1) } },
    { inputs: [x(2, 3, 4), x(5, 4)], attributes: { transB: int(1) } },
  ],
  'com.microsoft.Gelu': [{ inputs: [image] }],
  'com.microsoft.MultiHeadAttention': [
    { inputs: [x(2, 5, 8), x(2, 7, 8), x(2, 7, 4)], attributes: { num_heads: int(2) } },
    { inputs: [x(2, 5, 8), x(2, 2, 7, 4), x(2, 2, 7, 4)], outputs: 3, attributes: { num_heads: int(2) } },
    {
      inputs: [x(2, 5, 8), x(2, 7, 8), x(2, 7, 8), x(24), undefined, undefined, x(2, 2, 3, 4), x(2, 2, 3, 4)],
      outputs: 3,
      attributes: { num_heads: int(2) },
    },
  ],
  'com.microsoft.QGemm': [
    {
      inputs: [typed(UINT8, 2, 3), scale, zeroPoint, typed(UINT8, 3, 4), scale, zeroPoint, undefined, scale, zeroPoint],
    },
    {
      inputs: [typed(UINT8, 2, 3), scale, zeroPoint, typed(UINT8, 4, 3), scale, zeroPoint],
      attributes: { transB: int(1) },
    },
  ],
  'com.microsoft.QLinearAdd': [
    { inputs: [bytes, scale, zeroPoint, typed(UINT8, 3, 1, 1), scale, zeroPoint, scale, zeroPoint] },
  ],
  'com.microsoft.QLinearMul': [
    { inputs: [bytes, scale, zeroPoint, typed(UINT8, 6), scale, zeroPoint, scale, zeroPoint] },
  ],
  'com.microsoft.QLinearAveragePool': [
    { inputs: [bytes, scale, zeroPoint, scale, zeroPoint], attributes: window },
    {
      inputs: [typed(UINT8, 1, 8, 6, 3), scale, zeroPoint, scale, zeroPoint],
      attributes: { ...window, channels_last: int(1) },
    },
  ],
  'com.microsoft.QLinearConcat': [
    {
      inputs: [scale, zeroPoint, typed(UINT8, 2, 3), scale, zeroPoint, typed(UINT8, 2, 4), scale, zeroPoint],
      attributes: { axis: int(1) },
    },
  ],
  'com.microsoft.QLinearGlobalAveragePool': [
    { inputs: [bytes, scale, zeroPoint, scale, zeroPoint] },
    { inputs: [typed(UINT8, 1, 8, 6, 3), scale, zeroPoint, scale, zeroPoint], attributes: { channels_last: int(1) } },
  ],
  'com.microsoft.QLinearLeakyRelu': [{ inputs: [bytes, scale, zeroPoint, scale, zeroPoint] }],
  'com.microsoft.QLinearSigmoid': [{ inputs: [bytes, scale, zeroPoint, scale, zeroPoint] }],
  'com.microsoft.QLinearSoftmax': [
    { inputs: [bytes, scale, zeroPoint, scale, zeroPoint], attributes: { opset: int(13), axis: int(-1) } },
  ],
  'com.microsoft.QuantizeLinear': [{ inputs: [image, scale, zeroPoint] }],
  'com.microsoft.QuickGelu': [{ inputs: [image] }],
  'com.microsoft.SkipLayerNormalization': [{ inputs: [...norm, x(8)], outputs: 1 }],
  'com.microsoft.SkipSimplifiedLayerNormalization': [{ inputs: norm, outputs: 1 }],
};

/** Operators that this onnxruntime build does not run on the CPU, or that have no shape of their own. */
const untried: Readonly<Record<string, string>> = {
  If: 'control flow: left to declarations and runs',
  Loop: 'control flow: left to declarations and runs',
  Scan: 'control flow: left to declarations and runs',
  ConcatFromSequence: 'sequences have a test of their own',
  SequenceAt: 'sequences have a test of their own',
  SequenceConstruct: 'sequences have a test of their own',
  SequenceLength: 'sequences have a test of their own',
  SplitToSequence: 'sequences have a test of their own',
  Swish: 'ai.onnx 24, newer than this onnxruntime',
  'com.microsoft.nchwc.Conv': 'its blocks depend on the machine: test/lower probes for it and compares the sums',
  'lowrank.DropPath': 'a marker of our own, which no runtime sees',
};

const nameOf = (domain: string, opType: string): string => (domain === '' ? opType : `${domain}.${opType}`);

describe('every operator, against onnxruntime', () => {
  it('has a case, or a reason why not', () => {
    const missing = allOperators
      .map(({ domain, opType }) => nameOf(domain, opType))
      .filter((name) => !(name in table) && !(name in untried));
    expect(missing).toEqual([]);
  });

  it.each(
    allOperators
      .filter(({ domain, opType }) => nameOf(domain, opType) in table)
      .map((operator) => [nameOf(operator.domain, operator.opType), operator] as const),
  )('%s', async (name, { opType, domain }) => {
    for (const single of table[name]!) {
      const { inferred, actual, isRun, folded } = await compareNode({
        opset: 17,
        ...single,
        opType,
        ...(domain === '' ? {} : { domain }),
      });
      if (!isRun) throw new Error(`onnxruntime: ${actual}`);
      expect(inferred).toBe(actual);
      for (const pair of folded) {
        expect(pair.inferred.length).toBe(pair.actual.length);
        // onnxruntime's float32 approximations of exp, tanh and the like are good to some units in the last place (2^-24).
        pair.inferred.forEach((value, i) => {
          const other = pair.actual[i]!;
          if (Object.is(value, other) || value === other) return;
          expect(Math.abs(value - other)).toBeLessThanOrEqual(16 * 2 ** -24 * Math.abs(other));
        });
      }
      const isConstant = single.inputs.every(
        (operand) => operand !== undefined && !('dims' in operand && !('values' in operand)),
      );
      if (isConstant && single.inputs.length > 0 && folding.has(name)) expect(folded.length).toBeGreaterThan(0);
    }
  });
});

/** Operators that shape arithmetic needs: with constant inputs their result must be known. */
const folding = new Set([
  ...[
    'Add',
    'Sub',
    'Mul',
    'Div',
    'Mod',
    'Equal',
    'Greater',
    'Less',
    'And',
    'Or',
    'Not',
    'Where',
    'Min',
    'Max',
    'Floor',
    'Ceil',
    'Round',
  ],
  ...[
    'Cast',
    'CastLike',
    'Concat',
    'ConstantOfShape',
    'Expand',
    'Gather',
    'NonZero',
    'Range',
    'ReduceProd',
    'ReduceSum',
    'Reshape',
  ],
  ...[
    'ScatterND',
    'Slice',
    'Split',
    'Squeeze',
    'Tile',
    'Transpose',
    'Unsqueeze',
    'Sqrt',
    'Pow',
    'Neg',
    'Abs',
    'Clip',
    'Identity',
    'ReduceMax',
  ],
]);
