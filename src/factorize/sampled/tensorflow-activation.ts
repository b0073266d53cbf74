import type { Tensor, TensorFlowApi } from '../../runtime/tensorflow-api.js';
import type { Activation } from '../../rewrite/types.js';

type Kind = Activation['kind'];
type FormTable = {
  readonly [K in Kind]: (activation: Extract<Activation, { readonly kind: K }>, tf: TensorFlowApi, z: Tensor) => Tensor;
};

/** Every activation in TensorFlow.js's functions: a kind without a rule does not compile. */
const forms: FormTable = {
  linear: (_, _tf, z) => z,
  Relu: (_, tf, z) => tf.relu(z),
  LeakyRelu: ({ alpha }, tf, z) => tf.leakyRelu(z, alpha),
  Clip: ({ min, max }, tf, z) => tf.clipByValue(z, min, max),
  SiLU: (_, tf, z) => tf.mul(z, tf.sigmoid(z)),
  HardSwish: (_, tf, z) => tf.mul(z, hardSigmoid(tf, z, 1 / 6, 0.5)),
  HardSigmoid: ({ alpha, beta }, tf, z) => hardSigmoid(tf, z, alpha, beta),
  Sigmoid: (_, tf, z) => tf.sigmoid(z),
  Tanh: (_, tf, z) => tf.tanh(z),
  Gelu: (_, tf, z) => tf.mul(tf.mul(z, 0.5), tf.add(tf.erf(tf.mul(z, Math.SQRT1_2)), 1)),
};

function hardSigmoid(tf: TensorFlowApi, z: Tensor, alpha: number, beta: number): Tensor {
  return tf.clipByValue(tf.add(tf.mul(z, alpha), beta), 0, 1);
}

/** σ(z), element by element. */
export function activate(tf: TensorFlowApi, activation: Activation, z: Tensor): Tensor {
  const form = forms[activation.kind] as (activation: Activation, tf: TensorFlowApi, z: Tensor) => Tensor;
  return form(activation, tf, z);
}
