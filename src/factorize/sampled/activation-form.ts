import { float } from '../../graph/attributes.js';
import type { Value } from '../../graph/value.js';
import type { Emitter } from '../../ops/emitter.js';
import type { Activation } from '../../rewrite/types.js';

/** Emits σ(z), element by element, for z [batch, neurons]. */
export interface ActivationForm {
  /** As reports name it. */
  readonly name: string;
  /** Operator sets that it needs beside ai.onnx `trainingOpset`, and a newer ai.onnx where it needs one. */
  readonly opsets: ReadonlyMap<string, number>;
  emit(e: Emitter, z: Value): Value;
}

type Kind = Activation['kind'];
type FormTable = {
  readonly [K in Kind]: (activation: Extract<Activation, { readonly kind: K }>, e: Emitter, z: Value) => Value;
};

/** Every activation as operators of ai.onnx 17: a kind without a rule does not compile. */
const forms: FormTable = {
  linear: (_, _e, z) => z,
  Relu: (_, e, z) => e.emit('Relu', [z]),
  LeakyRelu: ({ alpha }, e, z) => e.emit('LeakyRelu', [z], { alpha: float(alpha) }),
  Clip: ({ min, max }, e, z) => e.emit('Clip', [z, bound(e, min), bound(e, max)]),
  SiLU: (_, e, z) => e.mul(z, e.emit('Sigmoid', [z])),
  HardSwish: (_, e, z) => e.emit('HardSwish', [z]),
  HardSigmoid: ({ alpha, beta }, e, z) => e.emit('HardSigmoid', [z], { alpha: float(alpha), beta: float(beta) }),
  Sigmoid: (_, e, z) => e.emit('Sigmoid', [z]),
  Tanh: (_, e, z) => e.emit('Tanh', [z]),
  Gelu: (_, e, z) => {
    const erf = e.emit('Erf', [e.scale(z, Math.SQRT1_2)]);
    return e.mul(e.scale(z, 0.5), e.add(erf, e.scalar(1)));
  },
};

function bound(e: Emitter, value: number): Value | undefined {
  return Number.isFinite(value) ? e.scalar(value) : undefined;
}

/** The form of an activation that has closed forms too. */
export function formOf(activation: Activation): ActivationForm {
  const emit = forms[activation.kind] as (activation: Activation, e: Emitter, z: Value) => Value;
  return { name: activation.kind, opsets: new Map(), emit: (e, z) => emit(activation, e, z) };
}
