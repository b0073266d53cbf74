import type { ElementType, TensorData } from './types.js';

interface TensorDataConstructor {
  readonly name: string;
  new (length: number): TensorData;
  new (buffer: ArrayBuffer, byteOffset?: number, length?: number): TensorData;
}

export interface ElementTypeInfo {
  /** The number of `ONNXTensorElementDataType` in the C API, the same as in `TensorProto.DataType`. */
  readonly id: number;
  /** Bytes of one element. */
  readonly bytes: number;
  readonly array: TensorDataConstructor;
}

/** Every element type that crosses the runtime boundary. */
export const ELEMENT_TYPES: Readonly<Record<ElementType, ElementTypeInfo>> = {
  float32: { id: 1, bytes: 4, array: Float32Array },
  uint8: { id: 2, bytes: 1, array: Uint8Array },
  int8: { id: 3, bytes: 1, array: Int8Array },
  uint16: { id: 4, bytes: 2, array: Uint16Array },
  int16: { id: 5, bytes: 2, array: Int16Array },
  int32: { id: 6, bytes: 4, array: Int32Array },
  int64: { id: 7, bytes: 8, array: BigInt64Array },
  bool: { id: 9, bytes: 1, array: Uint8Array },
  float16: { id: 10, bytes: 2, array: Uint16Array },
  float64: { id: 11, bytes: 8, array: Float64Array },
  uint32: { id: 12, bytes: 4, array: Uint32Array },
  uint64: { id: 13, bytes: 8, array: BigUint64Array },
  bfloat16: { id: 16, bytes: 2, array: Uint16Array },
};

const STRING_ID = 8;

const namesById: ReadonlyMap<number, ElementType> = new Map(
  (Object.keys(ELEMENT_TYPES) as ElementType[]).map((name) => [ELEMENT_TYPES[name].id, name]),
);

/** 'other' for what cannot cross the boundary: complex, float8 and sub-byte types. */
export function elementTypeOf(id: number): ElementType | 'string' | 'other' {
  return id === STRING_ID ? 'string' : (namesById.get(id) ?? 'other');
}

/** Product of `dims`; 1 for a scalar. */
export function elementCount(dims: readonly number[]): number {
  return dims.reduce((product, dim) => product * dim, 1);
}
