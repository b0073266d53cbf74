import type { Value } from '../../graph/value.js';
import type { Emitter } from '../../ops/emitter.js';

/** What a rule is set to; each reads what it needs. */
export interface RuleSettings {
  readonly momentum: number;
  readonly nesterov: boolean;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
}

export interface RuleContext {
  readonly e: Emitter;
  readonly settings: RuleSettings;
  /** [length] */
  readonly weights: Value;
  /** [length], clipped and with Frobenius decay. */
  readonly gradient: Value;
  /** [buffers · length] */
  readonly state: Value;
  /** float32 scalar. */
  readonly learningRate: Value;
  /** int64 scalar, from 1. */
  readonly step: Value;
  /** Weight decay of every element, or a scalar; undefined where there is none. */
  readonly mask: Value | undefined;
  readonly length: number;
  /** What the results are to be called; undefined: anything. */
  readonly names: { readonly weights?: string; readonly state?: string };
}

/** How a buffer of an optimizer behaves where the weights are seen in other bases: as the gradient does, or as its square. */
export type BufferKind = 'first' | 'second';

/** An update rule: one file in rules/ and one line in its index. */
export interface UpdateRule {
  /** The vectors of the length of the parameters that its state has, in order. */
  buffers(settings: RuleSettings): readonly BufferKind[];
  /** Emits a step. */
  emit(context: RuleContext): { readonly weights: Value; readonly state: Value };
}

/** g + d w */
export function decayed({ e, gradient, weights, mask }: RuleContext): Value {
  return mask === undefined ? gradient : e.add(gradient, e.mul(weights, mask));
}

/** The name that a result is to have, as an option of `Emitter.emit`. */
export function called(name: string | undefined): { readonly name?: string } {
  return name === undefined ? {} : { name };
}
