import { FLOAT, isFloatType } from '../../onnx/data-type.js';
import { Tensor } from '../../onnx/tensor.js';
import type { Value } from '../../graph/value.js';
import type { Call } from './rule.js';

const largestInt64 = 2n ** 63n - 1n;

/** int64 data; 2^63, to which "to the end" rounds as a number, becomes the largest integer again. */
function int64(values: readonly number[]): Uint8Array {
  const exact = values.map((value) => BigInt(value)).map((value) => (value > largestInt64 ? largestInt64 : value));
  return new Uint8Array(BigInt64Array.from(exact).buffer);
}

/** A list of integers as an initializer. */
export function intsInput(call: Call, name: string, values: readonly number[]): Value {
  const int64Type = 7;
  return call.initializer(name, (unique) => Tensor.of(unique, int64Type, [values.length], int64(values)));
}

/** A list of float32 as an initializer. */
export function floatsInput(call: Call, name: string, values: readonly number[]): Value {
  return call.initializer(name, (unique) => Tensor.ofFloats(unique, [values.length], Float32Array.from(values)));
}

/** A number as a scalar initializer of the type that input 0 has. Refuses where that is not known. */
export function scalarLikeData(call: Call, name: string, value: number): Value {
  const dataType = call.typeOf(call.node.inputs[0])?.dataType;
  if (dataType === undefined) return call.refuse(`the element type of its input is not known`);
  if (!isFloatType(dataType)) return call.refuse(`its input is no floating-point tensor`);
  return call.initializer(name, (unique) => Tensor.ofFloats(unique, [], Float32Array.of(value), dataType));
}

/** A float32 scalar as an initializer. */
export function floatInput(call: Call, name: string, value: number): Value {
  return call.initializer(name, (unique) => Tensor.ofFloats(unique, [], Float32Array.of(value), FLOAT));
}

/** Attribute `name`, a list of integers, becomes input `index`. An empty list counts as none. */
export function moveInts(call: Call, name: string, index: number): void {
  const values = call.node.ints(name) ?? [];
  call.removeAttribute(name);
  if (values.length > 0) call.setInput(index, intsInput(call, name, values));
}
