import type { Value } from '../../graph/value.js';
import type { Emitter } from '../emitter.js';

/**
 * dx of y = (Σ |x|^p)^(1/p) over windows: sign(x)·|x|^(p−1) times what the windows of x give back of dy·y^(1−p). `spread` is
 * the adjoint of the sum over windows. Where a window is all zero the gradient is 0.
 */
export function lpGradient(e: Emitter, p: number, x: Value, y: Value, dy: Value, spread: (g: Value) => Value): Value {
  const sign = e.emit('Sign', [x]);
  if (p === 1) return e.mul(sign, spread(dy));
  const power = (value: Value, exponent: number): Value => e.emit('Pow', [value, e.scalar(exponent, value)]);
  const isZero = e.emit('Equal', [y, e.scalar(0, y)]);
  const safe = e.add(y, e.indicator(isZero, y));
  const slope = p === 2 ? x : e.mul(sign, power(e.emit('Abs', [x]), p - 1));
  return e.mul(slope, spread(e.mul(dy, p === 2 ? e.emit('Reciprocal', [safe]) : power(safe, 1 - p))));
}
