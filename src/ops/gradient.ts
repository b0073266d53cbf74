import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import type { Emitter } from './emitter.js';

export interface GradientContext {
  readonly node: Node;
  /** Version of the node's domain. */
  readonly opset: number;
  /** Where the gradient is emitted; it knows the types of all values. */
  readonly e: Emitter;
  readonly inputs: readonly (Value | undefined)[];
  readonly outputs: readonly (Value | undefined)[];
  /** ∂loss/∂output, in the shape of the output; undefined where the loss does not depend on it. At least one is there. */
  readonly gradients: readonly (Value | undefined)[];
  /** Which inputs the gradient is wanted for: a rule leaves out the work for the others. */
  readonly needs: readonly boolean[];
}

/**
 * In place of a gradient: nothing flows back through this input, because the derivative is zero, or because all that
 * flows is in the gradient of another input.
 */
export const noFlow: unique symbol = Symbol('no flow');

/**
 * Emits ∂loss/∂input for every input that `needs` it, in the shape of the input; undefined for inputs that it is not
 * needed for. Must hold for every batch size where `e.isBatchOpen`.
 */
export type GradientRule = (context: GradientContext) => readonly (Value | typeof noFlow | undefined)[];

/**
 * How the loss depends on an operator's inputs:
 * - a rule;
 * - `zero`: the derivative is zero wherever it exists (comparisons, rounding, indices, shapes): nothing flows through;
 * - `none`: there is a derivative, or something that stands for one, but no rule here; the reason reaches the user.
 */
export type Gradient =
  | { readonly kind: 'rule'; readonly rule: GradientRule }
  | { readonly kind: 'zero' }
  | { readonly kind: 'none'; readonly reason: string };

export const rule = (gradientRule: GradientRule): Gradient => ({ kind: 'rule', rule: gradientRule });
export const zero: Gradient = { kind: 'zero' };
export const none = (reason: string): Gradient => ({ kind: 'none', reason });
/** Of operators on quantized numbers: the rounding in them has no useful derivative. */
export const quantized = none('quantized models are not trained, only the float models that they were made from');

/** Rule of y = f(x), element by element: `derivative` gives dx from dy. */
export function elementwise(derivative: (e: Emitter, dy: Value, x: Value, y: Value, node: Node) => Value): Gradient {
  return rule(({ e, inputs, outputs, gradients, node }) => [
    derivative(e, gradients[0]!, inputs[0]!, outputs[0]!, node),
  ]);
}
