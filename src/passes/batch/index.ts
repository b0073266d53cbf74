import { along, argReduction, behindAxis, cumSum, meanVariance, reduction, softmax, trilu } from './axes.js';
import { elementWise, ofFirst, quantized } from './element-wise.js';
import { concat, gather, gatherElements, gatherND, slice, split, tile } from './joins.js';
import { batchNormalization, gridSample, maxPool, pad, perImage, resize } from './per-image.js';
import { attention, einsum, fusedAttention, gemm, matMul, multiHeadAttention, quantizedGemm } from './products.js';
import type { OpenRule } from './rule.js';
import { expand, filled, flatten, reshape, squeeze, transpose, unsqueeze } from './views.js';

const named = (names: string, rule: OpenRule): [string, OpenRule][] => names.split(' ').map((name) => [name, rule]);

/** Operators that compute image by image, by domain and name. All others are not opened. */
const rules: ReadonlyMap<string, OpenRule> = new Map<string, OpenRule>([
  ...named(
    'Abs Acos Acosh Add And Asin Asinh Atan Atanh BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Ceil Celu Clip Cos ' +
      'Cosh Div Elu Equal Erf Exp Floor Gelu Greater GreaterOrEqual HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu ' +
      'Less LessOrEqual Log Max Mean Min Mish Mod Mul Neg Not Or PRelu Pow Reciprocal Relu Round Selu Shrink Sigmoid Sign ' +
      'Sin Sinh Softplus Softsign Sqrt Sub Sum Swish Tan Tanh ThresholdedRelu Where Xor',
    elementWise,
  ),
  ...named('com.microsoft:Gelu com.microsoft:FastGelu com.microsoft:QuickGelu com.microsoft:BiasGelu', elementWise),
  ...named(
    'com.microsoft:QLinearAdd com.microsoft:QLinearMul com.microsoft:QLinearSigmoid com.microsoft:QLinearLeakyRelu',
    elementWise,
  ),
  ...named('Cast CastLike Dropout', ofFirst),
  ...named('QuantizeLinear DequantizeLinear', quantized),
  ...named(
    'AveragePool Col2Im Conv ConvTranspose DepthToSpace GlobalAveragePool GlobalLpPool GlobalMaxPool GroupNormalization ' +
      'InstanceNormalization LRN LpPool SpaceToDepth',
    perImage,
  ),
  ...named('ConvInteger QLinearConv', perImage),
  ...named('com.microsoft:QLinearAveragePool com.microsoft:QLinearGlobalAveragePool', perImage),
  ['com.microsoft:QGemm', quantizedGemm],
  ['MaxPool', maxPool],
  ['BatchNormalization', batchNormalization],
  ['GridSample', gridSample],
  ['Resize', resize],
  ['Pad', pad],
  ['MatMul', matMul()],
  ['MatMulInteger', matMul()],
  ['QLinearMatMul', matMul(3)],
  ['Gemm', gemm],
  ['Einsum', einsum],
  ['Attention', attention],
  ['com.microsoft:Attention', fusedAttention],
  ['com.microsoft:MultiHeadAttention', multiHeadAttention],
  ['LpNormalization', along(-1)],
  ['TopK', along(-1)],
  ...named('Softmax LogSoftmax Hardmax', softmax),
  ...named('LayerNormalization RMSNormalization SimplifiedLayerNormalization', behindAxis()),
  ...named('com.microsoft:SkipLayerNormalization', behindAxis(2)),
  ['CumSum', cumSum],
  ...named(
    'ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare',
    reduction,
  ),
  ...named('ArgMax ArgMin', argReduction),
  ['MeanVarianceNormalization', meanVariance],
  ['Trilu', trilu],
  ['Reshape', reshape],
  ['Flatten', flatten],
  ['Transpose', transpose],
  ['Squeeze', squeeze],
  ['Unsqueeze', unsqueeze],
  ['Expand', expand],
  ['ConstantOfShape', filled],
  ['Concat', concat],
  ['Slice', slice],
  ['Split', split],
  ['Gather', gather],
  ['GatherND', gatherND],
  ['GatherElements', gatherElements],
  ['Tile', tile],
]);

export function findOpenRule(domain: string, opType: string): OpenRule | undefined {
  return rules.get(domain === '' ? opType : `${domain}:${opType}`);
}
