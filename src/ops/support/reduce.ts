import type { Value } from '../../graph/value.js';
import { INT64 } from '../../onnx/data-type.js';
import type { Emitter } from '../emitter.js';
import { type Gradient, rule, zero } from '../gradient.js';
import type { InferenceContext, Operator } from '../operator.js';
import { shapeError } from './fail.js';
import { input, givenList, known } from './known.js';
import { normalizeAxes } from './layout.js';

/** Axes that a Reduce* removes or sets to 1; undefined where they are not known before the run. */
function reducedAxes(context: InferenceContext, rank: number): readonly number[] | undefined {
  const axes = givenList(context, 'axes', 1);
  if (axes === 'unknown') return undefined;
  if (axes === 'absent' || axes.length === 0) {
    return context.node.int('noop_with_empty_axes', 0) === 1 ? [] : Array.from({ length: rank }, (_, i) => i);
  }
  return normalizeAxes(axes, rank);
}

/**
 * Reduce* (axes: an attribute, since ai.onnx 18 an input, ReduceSum since 13; without axes all, or none with
 * noop_with_empty_axes). `fold` reduces known elements in order.
 */
export function reduction(opType: string, gradient: Gradient, fold?: (values: readonly number[]) => number): Operator {
  return {
    opType,
    domain: '',
    gradient,
    infer: (context) => {
      const x = input(context, 0);
      const axes = reducedAxes(context, x.dims.length);
      if (axes === undefined) return undefined;
      const isKept = context.node.int('keepdims', 1) !== 0;
      const gone = new Set(axes);
      const ones = x.dims.map((dim, i) => (gone.has(i) ? 1 : dim));
      const dims = isKept ? ones : x.dims.filter((_, i) => !gone.has(i));
      if (fold === undefined || x.constant === undefined) return [known(x.dataType, dims)];
      const groups = reduceElements(x.constant, x.dims, gone);
      const constant = groups.map((values) => fold(values));
      return [known(x.dataType, dims, constant)];
    },
  };
}

/** A reduction y of x over `axes`; `y` and `dy` have these axes, of size 1. */
export interface Reduced {
  readonly x: Value;
  readonly y: Value;
  readonly dy: Value;
  /** Counted from the front, in order. */
  readonly axes: readonly number[];
}

/** Rule of a Reduce*: `derivative` gives dx, which may still have to be expanded along the axes. */
export function reductionGradient(derivative: (e: Emitter, reduced: Reduced) => Value): Gradient {
  return rule(({ e, node, opset, inputs, outputs: [output], gradients: [gradient] }) => {
    const x = inputs[0]!;
    const known = inputs.map((value) => (value === undefined ? undefined : e.typeOf(value)));
    const axes = reducedAxes({ node, opset, inputs: known }, e.rank(x))?.toSorted((a, b) => a - b);
    if (axes === undefined) throw shapeError('the axes are not known before the run');
    const kept = (value: Value): Value => (node.int('keepdims', 1) === 0 ? e.unsqueeze(value, axes) : value);
    const dx = derivative(e, { x, y: kept(output!), dy: kept(gradient!), axes });
    return [e.expandLike(dx, x)];
  });
}

/** The elements that fall on each element of the result, in row-major order. */
function reduceElements(data: readonly number[], dims: readonly number[], gone: ReadonlySet<number>): number[][] {
  const strides = dims.map(() => 0);
  let size = 1;
  for (let i = dims.length - 1; i >= 0; i--) {
    if (gone.has(i)) continue;
    strides[i] = size;
    size *= dims[i]!;
  }
  const groups = Array.from({ length: size }, (): number[] => []);
  data.forEach((value, flat) => {
    let rest = flat;
    let at = 0;
    for (let i = dims.length - 1; i >= 0; i--) {
      at += (rest % dims[i]!) * strides[i]!;
      rest = Math.floor(rest / dims[i]!);
    }
    groups[at]!.push(value);
  });
  return groups;
}

/** ArgMax and ArgMin: int64 indices along one axis. */
export function argReduction(opType: string): Operator {
  return {
    opType,
    domain: '',
    gradient: zero,
    infer: (context) => {
      const { dims } = input(context, 0);
      const axis = normalizeAxes([context.node.int('axis', 0)], dims.length)[0]!;
      const isKept = context.node.int('keepdims', 1) !== 0;
      return [known(INT64, isKept ? dims.with(axis, 1) : dims.toSpliced(axis, 1))];
    },
  };
}
