import type { Value } from '../../graph/value.js';
import type { Emitter } from '../../ops/emitter.js';

/**
 * A gradient that may be worked out later: `value` · `scale`, broadcast to the shape of what it is the gradient of. Rules
 * that multiply by a matrix anyway take the scale into that matrix, and sums take what is broadcast as it is.
 */
export interface Gradient {
  /** Of the shape of what it belongs to, or 1 along axes where it is constant. */
  readonly value: Value;
  /** One factor per channel (axis 0), [C]. */
  readonly scale?: Value | undefined;
}

/** The gradient without a scale left to apply; it may still be constant along axes. */
export function unscaled(e: Emitter, { value, scale }: Gradient): Value {
  if (scale === undefined) return value;
  return e.mul(
    value,
    e.reshape(scale, [
      -1,
      ...e
        .dims(value)
        .slice(1)
        .map(() => 1),
    ]),
  );
}

/** `value` in the shape of `like`, the scale left out. */
export function expanded(e: Emitter, { value }: Gradient, like: Value): Value {
  return e.expandLike(value, like);
}

/** The gradient of `like`, worked out. */
export function whole(e: Emitter, gradient: Gradient, like: Value): Value {
  return e.expandLike(unscaled(e, gradient), like);
}

/** a + b */
export function addGradients(e: Emitter, a: Gradient, b: Gradient): Gradient {
  if (a.scale === b.scale) return { value: e.add(a.value, b.value), scale: a.scale };
  return { value: e.add(unscaled(e, a), unscaled(e, b)) };
}
