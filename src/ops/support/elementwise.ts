import { BOOL } from '../../onnx/data-type.js';
import { type Gradient, zero } from '../gradient.js';
import type { InferenceContext, Known, Operator } from '../operator.js';
import { broadcast, foldBroadcast } from './broadcast.js';
import { shapeError } from './fail.js';
import { input, known } from './known.js';
import { showDims } from './layout.js';

type UnaryFold = (x: number, context: InferenceContext) => number;
type BinaryFold = (a: number, b: number, context: InferenceContext) => number;

/** The type of the first input: for operators that change elements only. */
export function likeFirstInput(context: InferenceContext): Known[] {
  const { dataType, dims } = input(context, 0);
  return [{ dataType, dims }];
}

/** y = f(x), same type and shape. `fold` computes it where x is a known small constant. */
export function unary(opType: string, gradient: Gradient, fold?: UnaryFold): Operator {
  return {
    opType,
    domain: '',
    gradient,
    infer: (context) => {
      const x = input(context, 0);
      const constant = fold === undefined ? undefined : x.constant?.map((value) => fold(value, context));
      return [known(x.dataType, x.dims, constant)];
    },
  };
}

/** y = f(x) of type bool. */
export function predicate(opType: string, fold?: UnaryFold): Operator {
  return {
    opType,
    domain: '',
    gradient: zero,
    infer: (context) => {
      const x = input(context, 0);
      const constant = fold === undefined ? undefined : x.constant?.map((value) => fold(value, context));
      return [known(BOOL, x.dims, constant)];
    },
  };
}

/** Dims of a binary operator: broadcast since ai.onnx 7, those of the first input before (attributes broadcast, axis). */
function binaryDims(context: InferenceContext): readonly number[] {
  const a = input(context, 0).dims;
  return context.node.domain === '' && context.opset < 7 ? a : broadcast(a, input(context, 1).dims);
}

function inferBinary(context: InferenceContext, dataType: number, fold: BinaryFold | undefined): Known[] {
  const dims = binaryDims(context);
  const pair = [input(context, 0), input(context, 1)];
  const constant = fold === undefined ? undefined : foldBroadcast(pair, dims, (a, b) => fold(a, b, context));
  return [known(dataType, dims, constant)];
}

/** z = f(a, b), broadcast, of a's type. */
export function binary(opType: string, gradient: Gradient, fold?: BinaryFold): Operator {
  return {
    opType,
    domain: '',
    gradient,
    infer: (context) => inferBinary(context, input(context, 0).dataType, fold),
  };
}

/** z = f(a, b), broadcast, of type bool. */
export function comparison(opType: string, fold?: (a: number, b: number) => boolean): Operator {
  const toNumber: BinaryFold | undefined = fold === undefined ? undefined : (a, b) => (fold(a, b) ? 1 : 0);
  return { opType, domain: '', gradient: zero, infer: (context) => inferBinary(context, BOOL, toNumber) };
}

/** z = f(x1, …, xn), broadcast since ai.onnx 8. */
export function variadic(opType: string, gradient: Gradient, fold: (values: readonly number[]) => number): Operator {
  return {
    opType,
    domain: '',
    gradient,
    infer: (context) => {
      const { dataType } = input(context, 0);
      const values = context.inputs.map((_, index) => input(context, index));
      const dims = broadcast(...values.map((value) => value.dims));
      return [
        known(
          dataType,
          dims,
          foldBroadcast(values, dims, (...row) => fold(row)),
        ),
      ];
    },
  };
}

/** Throws SHAPE unless `dims` broadcast to `target` without stretching it. */
export function requireUnidirectional(dims: readonly number[], target: readonly number[]): void {
  const result = broadcast(dims, target);
  if (result.length !== target.length || result.some((dim, i) => dim !== target[i])) {
    throw shapeError(`${showDims(dims)} does not broadcast to ${showDims(target)}`);
  }
}
