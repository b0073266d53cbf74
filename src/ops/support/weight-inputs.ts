/** Which inputs of operators hold what a layer has learned, by operator type. */
export const weightInputs: Readonly<Record<string, readonly number[]>> = {
  Conv: [1, 2],
  ConvTranspose: [1, 2],
  Gemm: [0, 1, 2],
  MatMul: [0, 1],
  BatchNormalization: [1, 2],
  InstanceNormalization: [1, 2],
  GroupNormalization: [1, 2],
  LayerNormalization: [1, 2],
  RMSNormalization: [1],
  SimplifiedLayerNormalization: [1],
  SkipLayerNormalization: [2, 3, 4],
  PRelu: [1],
  FusedConv: [1, 2],
  FusedGemm: [0, 1, 2],
  FusedMatMul: [0, 1],
};

/** Running statistics, which training updates without a gradient. */
export const statisticInputs: Readonly<Record<string, readonly number[]>> = { BatchNormalization: [3, 4] };

/** Element by element: biases, layer scales and position tables are their operands. */
export const operandOperators: ReadonlySet<string> = new Set(['Add', 'Sub', 'Mul', 'Div']);
