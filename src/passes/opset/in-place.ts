import { type Adapt, type OpsetRule, rules } from './rule.js';

/** Up to ai.onnx 5 `consumed_inputs` allowed to compute in place; it never changed a result. */
export const withoutConsumedInputs: Adapt = (call) => call.removeAttribute('consumed_inputs');

/** Operators whose only change is that `consumed_inputs` is gone since 6. */
export const inPlace: readonly OpsetRule[] = rules(
  {
    Abs: [1, 6, 13],
    Ceil: [1, 6, 13],
    Elu: [1, 6, 22],
    Exp: [1, 6, 13],
    Floor: [1, 6, 13],
    HardSigmoid: [1, 6, 22],
    InstanceNormalization: [1, 6, 22],
    LeakyRelu: [1, 6, 16],
    Log: [1, 6, 13],
    // Broadcast since 8; equal shapes before.
    Max: [1, 6, 8, 12, 13],
    Mean: [1, 6, 8, 13],
    Min: [1, 6, 8, 12, 13],
    Neg: [1, 6, 13],
    Reciprocal: [1, 6, 13],
    Relu: [1, 6, 13, 14],
    Sigmoid: [1, 6, 13],
    Sqrt: [1, 6, 13],
    Sum: [1, 6, 8, 13],
    Tanh: [1, 6, 13],
  },
  { 6: withoutConsumedInputs },
);

/** The defaults of alpha and gamma have more digits since 6. */
export const selu: readonly OpsetRule[] = rules(
  { Selu: [1, 6, 22] },
  {
    6: (call) => {
      withoutConsumedInputs(call);
      const { node } = call;
      call.setAttribute('alpha', { type: 'float', value: node.float('alpha', 1.6732) });
      call.setAttribute('gamma', { type: 'float', value: node.float('gamma', 1.0507) });
    },
  },
);
