import type { Value } from '../graph/value.js';
import type { Emitter } from './emitter.js';
import { rule } from './gradient.js';
import { binary } from './support/elementwise.js';

/** z = a^b, of the type of a (ai.onnx 7, broadcast). */
export const pow = binary(
  'Pow',
  rule(({ e, inputs, outputs: [z], gradients: [dz], needs }) => {
    const a = inputs[0]!;
    const b = e.cast(inputs[1]!, e.typeOf(a).dataType);
    return [
      needs[0] === true ? e.sumTo(e.mul(dz!, baseSlope(e, a, b, z!)), a) : undefined,
      needs[1] === true ? e.sumTo(e.mul(dz!, exponentSlope(e, a, z!)), b) : undefined,
    ];
  }),
  (a, b) => a ** b,
);

/** b·a^(b − 1), which is 0 where b is 0. */
function baseSlope(e: Emitter, a: Value, b: Value, z: Value): Value {
  const { constant } = e.typeOf(b);
  const exponent = constant?.length === 1 ? constant[0]! : undefined;
  if (exponent === 0) return e.zerosLike(z);
  if (exponent === 1) return e.expandLike(e.scalar(1, a), z);
  if (exponent === 2) return e.scale(a, 2);
  if (exponent === 0.5) return e.div(e.scalar(0.5, z), z);
  if (exponent !== undefined) return e.scale(e.emit('Pow', [a, e.scalar(exponent - 1, a)]), exponent);
  const isZero = e.emit('Equal', [b, e.scalar(0, b)]);
  const slope = e.mul(b, e.emit('Pow', [a, e.sub(b, e.scalar(1, b))]));
  return e.emit('Where', [isZero, e.scalar(0, b), slope]);
}

/** a^b·ln a, which is 0 where a is 0 and b is not negative. */
function exponentSlope(e: Emitter, a: Value, z: Value): Value {
  const isZero = e.indicator(e.emit('Equal', [a, e.scalar(0, a)]), a);
  return e.mul(z, e.emit('Log', [e.add(a, isZero)]));
}
