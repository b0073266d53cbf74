import { BFLOAT16, FLOAT16 } from '../onnx/data-type.js';

/** Element type that an emitter computes in beside float32: FLOAT16 or BFLOAT16. */
export type HalfType = typeof FLOAT16 | typeof BFLOAT16;

export function isHalfType(dataType: number | undefined): dataType is HalfType {
  return dataType === FLOAT16 || dataType === BFLOAT16;
}

/**
 * What an operator computes in where half precision is allowed:
 * - `half`: in half, whatever it is given: it gains most, and its sums run in float32 inside the kernels;
 * - `float32`: in float32, because it sums many elements, or because its results leave the range of half;
 * - `inside`: in float32, and its first output goes back to the type of its first input;
 * - `widest`: in the widest type among its inputs, constants not counted;
 * - `refused`: it has no place in a training graph.
 */
export type PrecisionRule = 'half' | 'float32' | 'inside' | 'widest' | 'refused';

/** Names are those of ai.onnx; operators of other domains have theirs in front. Everything else is `widest`. */
const rules: Readonly<Record<Exclude<PrecisionRule, 'widest'>, readonly string[]>> = {
  half: ['Conv', 'ConvTranspose', 'Einsum', 'Gemm', 'MatMul', 'com.microsoft.FusedMatMul'],
  inside: ['BatchNormalization'],
  float32: [
    // Probabilities and losses.
    ...['Softmax', 'LogSoftmax', 'Hardmax', 'SoftmaxCrossEntropyLoss', 'NegativeLogLikelihoodLoss', 'Attention'],
    ...['com.microsoft.Attention', 'com.microsoft.MultiHeadAttention'],
    // Functions that are steep, or whose values are large or small.
    ...['Exp', 'Log', 'Pow', 'Reciprocal', 'Sqrt', 'Softplus', 'Mish', 'Celu', 'Swish'],
    ...['Acos', 'Acosh', 'Asin', 'Asinh', 'Atan', 'Atanh', 'Cos', 'Cosh', 'Sin', 'Sinh', 'Tan'],
    // Sums of many elements, norms.
    ...['ReduceL1', 'ReduceL2', 'ReduceLogSum', 'ReduceLogSumExp', 'ReduceMean', 'ReduceProd', 'ReduceSum'],
    ...['ReduceSumSquare', 'CumSum', 'GlobalAveragePool', 'GlobalLpPool', 'LpPool', 'Col2Im', 'GridSample'],
    ...['Scatter', 'ScatterElements', 'ScatterND'],
    ...['GroupNormalization', 'InstanceNormalization', 'LayerNormalization', 'LpNormalization', 'LRN'],
    ...['MeanVarianceNormalization', 'RMSNormalization', 'SimplifiedLayerNormalization'],
    ...['com.microsoft.SkipLayerNormalization', 'com.microsoft.SkipSimplifiedLayerNormalization'],
    // onnxruntime has them in float32 alone.
    ...['com.microsoft.FusedConv', 'com.microsoft.FusedGemm', 'com.microsoft.nchwc.Conv'],
  ],
  refused: [
    ...['ConvInteger', 'DequantizeLinear', 'DynamicQuantizeLinear', 'MatMulInteger', 'QLinearConv', 'QLinearMatMul'],
    ...['QuantizeLinear', 'com.microsoft.DequantizeLinear', 'com.microsoft.QGemm', 'com.microsoft.QLinearAdd'],
    ...['com.microsoft.QLinearAveragePool', 'com.microsoft.QLinearConcat', 'com.microsoft.QLinearGlobalAveragePool'],
    ...['com.microsoft.QLinearLeakyRelu', 'com.microsoft.QLinearMul', 'com.microsoft.QLinearSigmoid'],
    ...['com.microsoft.QLinearSoftmax', 'com.microsoft.QuantizeLinear', 'If', 'Loop', 'Scan', 'ConcatFromSequence'],
    ...['SequenceAt', 'SequenceConstruct', 'SequenceLength', 'SplitToSequence', 'lowrank.DropPath'],
  ],
};

/** The rules by operator; `widest` has none. */
export const listedRules: ReadonlyMap<string, PrecisionRule> = new Map(
  Object.entries(rules).flatMap(([rule, names]) => names.map((name) => [name, rule as PrecisionRule] as const)),
);

/**
 * Operators that onnxruntime's CUDA provider has in bfloat16 (docs/OperatorKernels.md of onnxruntime); the others compute
 * in float32 where half is bfloat16. The convolution has it since ai.onnx 22.
 */
export const bfloat16Operators: ReadonlySet<string> = new Set([
  ...['Conv', 'Gemm', 'MatMul', 'com.microsoft.FusedMatMul'],
  ...['Abs', 'Add', 'AveragePool', 'Div', 'Erf', 'Gelu', 'HardSigmoid', 'HardSwish', 'Max', 'Min', 'Mod', 'Mul', 'Neg'],
  ...['Relu', 'Sigmoid', 'Sign', 'Sub', 'Sum', 'Tanh', 'com.microsoft.BiasGelu', 'com.microsoft.FastGelu'],
  ...['com.microsoft.Gelu', 'com.microsoft.QuickGelu', 'BatchNormalization'],
  ...['Cast', 'CastLike', 'Concat', 'Dropout', 'Expand', 'Flatten', 'Gather', 'GatherElements', 'GatherND', 'Identity'],
  ...['Reshape', 'ReverseSequence', 'Shape', 'Size', 'Slice', 'Split'],
  ...['Squeeze', 'Tile', 'Transpose', 'Trilu', 'Unsqueeze', 'Where'],
]);

/** The opset whose convolution takes bfloat16. */
export const bfloat16Opset = 22;

const nameOf = (domain: string, opType: string): string => (domain === '' ? opType : `${domain}.${opType}`);

/** The rule of an operator that this project knows. */
export function precisionOf(domain: string, opType: string, half: HalfType): PrecisionRule {
  const name = nameOf(domain, opType);
  const rule = listedRules.get(name) ?? 'widest';
  const isMissing = half === BFLOAT16 && !bfloat16Operators.has(name) && (rule === 'half' || rule === 'widest');
  return isMissing ? 'float32' : rule;
}

/** Inputs that are float32 whatever the other inputs are. */
const fixedInputs: Readonly<Record<string, readonly number[]>> = { Resize: [1, 2], Upsample: [1], Dropout: [1] };

export function isFixedInput(domain: string, opType: string, index: number): boolean {
  return fixedInputs[nameOf(domain, opType)]?.includes(index) === true;
}
