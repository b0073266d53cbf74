import { LowrankError } from '../errors.js';
import type { Value } from '../graph/value.js';
import { dataTypeName, FLOAT, FLOAT16 } from '../onnx/data-type.js';
import type { Emitter } from './emitter.js';
import { type HalfType, isFixedInput, isHalfType, precisionOf } from './precision.js';
import { findOperator } from './registry.js';
import { rounding } from './support/known.js';

/** Whether half keeps a number up to its rounding: neither an overflow nor a loss of all digits. */
export function isRepresentable(value: number, half: HalfType): boolean {
  const rounded = rounding(half)(value);
  if (Number.isNaN(value) || !Number.isFinite(value)) return true;
  return Math.abs(rounded - value) <= Math.abs(value) * (half === FLOAT16 ? 2 ** -11 : 2 ** -8);
}

export interface CastInputs {
  readonly inputs: readonly (Value | undefined)[];
  /** What the first output is cast to. */
  readonly restore: HalfType | undefined;
}

/**
 * The inputs of a node, brought to the element type that its operator computes in (`precisionOf`). Only float32 and half
 * values change. Constants of one element do not decide the type: they are written in it where it can hold them.
 * Throws UNSUPPORTED for operators that have no rule.
 */
export function castInputs(
  e: Emitter,
  half: HalfType,
  operator: { readonly domain: string; readonly opType: string; readonly name: string },
  inputs: readonly (Value | undefined)[],
): CastInputs {
  const { domain, opType } = operator;
  const isReal = (value: Value): boolean => [FLOAT, half].includes(e.typeOf(value).dataType);
  const chosen = inputs.map((value, index) =>
    value === undefined || isFixedInput(domain, opType, index) || !isReal(value) ? undefined : value,
  );
  if (chosen.every((value) => value === undefined)) return { inputs, restore: undefined };
  const rule = findOperator(domain, opType) === undefined ? 'refused' : precisionOf(domain, opType, half);
  if (rule === 'refused') {
    throw new LowrankError('UNSUPPORTED', `it is not known how ${opType} computes in ${dataTypeName(half)}`, {
      place: `${opType} '${operator.name}'`,
      remedy: 'train with --precision float32',
    });
  }
  const target = rule === 'half' ? half : rule === 'widest' ? widest(e, half, chosen) : FLOAT;
  const first = inputs[0];
  const isRestored = rule === 'inside' && first !== undefined && isHalfType(e.typeOf(first).dataType);
  return {
    inputs: inputs.map((value, index) => (chosen[index] === undefined ? value : typed(e, value!, target))),
    restore: isRestored ? half : undefined,
  };
}

/** float32 where a value or a constant needs it. */
function widest(e: Emitter, half: HalfType, values: readonly (Value | undefined)[]): number {
  const given = values.filter((value) => value !== undefined);
  const deciding = given.filter((value) => scalarOf(e, value) === undefined);
  const isWide = (value: Value): boolean => e.typeOf(value).dataType === FLOAT;
  if (deciding.length === 0) return given.some(isWide) ? FLOAT : half;
  if (deciding.some(isWide)) return FLOAT;
  return given.every((value) => isRepresentable(scalarOf(e, value) ?? 0, half)) ? half : FLOAT;
}

/** The number of a constant of one element. */
function scalarOf(e: Emitter, value: Value): number | undefined {
  const { constant } = e.typeOf(value);
  return value.tensor !== undefined && constant?.length === 1 ? constant[0] : undefined;
}

function typed(e: Emitter, value: Value, dataType: number): Value {
  const number = scalarOf(e, value);
  if (number === undefined || e.typeOf(value).dataType === dataType) return e.cast(value, dataType);
  return e.floats([number], e.dims(value), dataType);
}
