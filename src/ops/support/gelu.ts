import type { Value } from '../../graph/value.js';
import type { Emitter } from '../emitter.js';
import { type Gradient, rule } from '../gradient.js';

/** d/dx of x·Φ(x): Φ(x) + x·φ(x), with Φ and φ of the standard normal distribution; or of its tanh approximation. */
export function geluSlope(e: Emitter, x: Value, isApproximate: boolean): Value {
  return isApproximate ? tanhSlope(e, x) : exactSlope(e, x);
}

function exactSlope(e: Emitter, x: Value): Value {
  const half = e.scalar(0.5, x);
  const erf = e.emit('Erf', [e.scale(x, Math.SQRT1_2)]);
  const cumulative = e.add(e.scale(erf, 0.5), half);
  const density = e.emit('Exp', [e.scale(e.mul(x, x), -0.5)]);
  return e.add(cumulative, e.mul(x, e.scale(density, 1 / Math.sqrt(2 * Math.PI))));
}

/** y = x/2·(1 + t), t = tanh u, u = √(2/π)·(x + 0.044715x³); y′ = (1 + t)/2 + x/2·(1 − t²)·u′. */
function tanhSlope(e: Emitter, x: Value): Value {
  const factor = Math.sqrt(2 / Math.PI);
  const cubic = 0.044715 * factor;
  const one = e.scalar(1, x);
  const square = e.mul(x, x);
  const t = e.emit('Tanh', [e.mul(x, e.add(e.scale(square, cubic), e.scalar(factor, x)))]);
  const inner = e.add(e.scale(square, 3 * cubic), e.scalar(factor, x));
  const rising = e.mul(e.mul(x, inner), e.sub(one, e.mul(t, t)));
  return e.scale(e.add(e.add(t, one), rising), 0.5);
}

/** d/dx of y = x·σ(αx): σ + αx·σ·(1 − σ), σ = sigmoid(αx). */
export function swishSlope(e: Emitter, x: Value, alpha: number): Value {
  const gate = e.emit('Sigmoid', [e.scale(x, alpha)]);
  const rest = e.mul(e.scale(x, alpha), e.sub(e.scalar(1, x), gate));
  return e.mul(gate, e.add(rest, e.scalar(1, x)));
}

/** Of the GELU of x + bias, with an optional bias. */
export function biasedGeluGradient(isApproximate: boolean): Gradient {
  return rule(({ e, inputs: [x, bias], gradients: [dy], needs }) => {
    const sum = bias === undefined ? x! : e.add(x!, bias);
    const dx = e.mul(dy!, geluSlope(e, sum, isApproximate));
    return [dx, needs[1] === true ? e.sumTo(dx, bias!) : undefined];
  });
}
