import { LowrankError } from '../../errors.js';
import type { Value } from '../../graph/value.js';
import type { Emitter } from '../../ops/emitter.js';
import { unscaled } from './gradient.js';
import type { Entry, Layout } from './rule.js';

/**
 * The training values that stand for values of the model, in the layouts that they were asked for in. A value is
 * transposed at most once, and its gradient back once.
 */
export class LayoutTable {
  readonly #e: Emitter;
  readonly #record: (entry: Entry) => void;
  readonly #forms = new Map<Value, Partial<Record<Layout, Value>> & { readonly first: Layout }>();

  constructor(e: Emitter, record: (entry: Entry) => void) {
    this.#e = e;
    this.#record = record;
  }

  define(value: Value, result: Value, layout: Layout): void {
    this.#forms.set(value, { first: layout, [layout]: result });
  }

  /** The layout it was defined in; initializers are in the model's. */
  layoutOf(value: Value): Layout {
    return this.#forms.get(value)?.first ?? 'model';
  }

  get(value: Value, layout: Layout): Value {
    const forms = this.#forms.get(value) ?? this.#copy(value);
    const known = forms[layout];
    if (known !== undefined) return known;
    const result = this.#transposed(forms[forms.first]!, layout);
    forms[layout] = result;
    return result;
  }

  #copy(value: Value): Partial<Record<Layout, Value>> & { readonly first: Layout } {
    if (value.tensor === undefined) {
      throw new LowrankError('INTERNAL', `'${value.name}' has no counterpart in the training graph`);
    }
    const { graph } = this.#e;
    this.define(value, graph.addInitializer(value.tensor.renamed(graph.uniqueName(value.name))), 'model');
    return this.#forms.get(value)!;
  }

  #transposed(from: Value, layout: Layout): Value {
    const e = this.#e;
    const rank = e.rank(from);
    if (rank < 2) return from;
    const axes = Array.from({ length: rank }, (_, axis) => axis);
    const forward = [...axes.slice(1), 0];
    const back = [rank - 1, ...axes.slice(0, -1)];
    const [there, andBack] = layout === 'batch-last' ? [forward, back] : [back, forward];
    const result = permuted(e, from, there);
    this.#record({
      inputs: [from],
      outputs: [result],
      label: `the transposed '${from.name}'`,
      backward: ([gradient]) => {
        const value = unscaled(e, gradient!);
        return [{ value: permuted(e, e.expandLike(value, result), andBack) }];
      },
    });
    return result;
  }
}

/** Transposes; where only axes of one element move, the data stays and it is a Reshape. */
function permuted(e: Emitter, x: Value, perm: readonly number[]): Value {
  const dims = e.dims(x);
  const moving = perm.filter((axis) => dims[axis] !== 1);
  const isView = moving.every((axis, i) => i === 0 || axis > moving[i - 1]!);
  return isView
    ? e.reshape(
        x,
        perm.map((axis) => dims[axis]!),
      )
    : e.transpose(x, perm);
}
