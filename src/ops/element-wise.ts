/**
 * Operators of ai.onnx that work element by element, on operands that broadcast where there are several, and whose result
 * is no straight line of them.
 */
export const nonlinearElementWise: ReadonlySet<string> = new Set(
  (
    'Abs Acos Acosh Asin Asinh Atan Atanh Ceil Celu Clip Cos Cosh Elu Erf Exp Floor Gelu HardSigmoid HardSwish LeakyRelu Log ' +
    'Max Min Mish Mod PRelu Pow Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Swish Tan ' +
    'Tanh ThresholdedRelu'
  ).split(' '),
);
