/** Element types of TensorProto.DataType: name, bits of one element, and the field of TensorProto that holds it when raw_data does not. */
export interface DataTypeInfo {
  readonly code: number;
  readonly name: string;
  /** 0 for strings and undefined. */
  readonly bits: number;
  readonly field: 'float_data' | 'int32_data' | 'int64_data' | 'double_data' | 'uint64_data' | 'string_data' | null;
}

const table: readonly DataTypeInfo[] = [
  { code: 0, name: 'undefined', bits: 0, field: null },
  { code: 1, name: 'float32', bits: 32, field: 'float_data' },
  { code: 2, name: 'uint8', bits: 8, field: 'int32_data' },
  { code: 3, name: 'int8', bits: 8, field: 'int32_data' },
  { code: 4, name: 'uint16', bits: 16, field: 'int32_data' },
  { code: 5, name: 'int16', bits: 16, field: 'int32_data' },
  { code: 6, name: 'int32', bits: 32, field: 'int32_data' },
  { code: 7, name: 'int64', bits: 64, field: 'int64_data' },
  { code: 8, name: 'string', bits: 0, field: 'string_data' },
  { code: 9, name: 'bool', bits: 8, field: 'int32_data' },
  { code: 10, name: 'float16', bits: 16, field: 'int32_data' },
  { code: 11, name: 'float64', bits: 64, field: 'double_data' },
  { code: 12, name: 'uint32', bits: 32, field: 'uint64_data' },
  { code: 13, name: 'uint64', bits: 64, field: 'uint64_data' },
  { code: 14, name: 'complex64', bits: 64, field: 'float_data' },
  { code: 15, name: 'complex128', bits: 128, field: 'double_data' },
  { code: 16, name: 'bfloat16', bits: 16, field: 'int32_data' },
  { code: 17, name: 'float8e4m3fn', bits: 8, field: 'int32_data' },
  { code: 18, name: 'float8e4m3fnuz', bits: 8, field: 'int32_data' },
  { code: 19, name: 'float8e5m2', bits: 8, field: 'int32_data' },
  { code: 20, name: 'float8e5m2fnuz', bits: 8, field: 'int32_data' },
  { code: 21, name: 'uint4', bits: 4, field: 'int32_data' },
  { code: 22, name: 'int4', bits: 4, field: 'int32_data' },
  { code: 23, name: 'float4e2m1', bits: 4, field: 'int32_data' },
  { code: 24, name: 'float8e8m0', bits: 8, field: 'int32_data' },
  { code: 25, name: 'uint2', bits: 2, field: 'int32_data' },
  { code: 26, name: 'int2', bits: 2, field: 'int32_data' },
];

export const FLOAT = 1;
export const UINT8 = 2;
export const INT8 = 3;
export const UINT16 = 4;
export const INT16 = 5;
export const INT32 = 6;
export const INT64 = 7;
export const STRING = 8;
export const BOOL = 9;
export const FLOAT16 = 10;
export const DOUBLE = 11;
export const UINT32 = 12;
export const UINT64 = 13;
export const BFLOAT16 = 16;

/** Facts about a TensorProto.DataType; undefined for codes newer than this table. */
export function dataTypeInfo(code: number): DataTypeInfo | undefined {
  return table[code];
}

export function dataTypeName(code: number): string {
  return table[code]?.name ?? `type ${code}`;
}

/** float32, float64, float16 or bfloat16: what a weight can be. */
export function isFloatType(code: number): boolean {
  return code === FLOAT || code === DOUBLE || code === FLOAT16 || code === BFLOAT16;
}

/** Bytes of `count` elements, sub-byte types packed as ONNX packs them; undefined for strings and unknown types. */
export function byteLengthOf(code: number, count: number): number | undefined {
  const bits = table[code]?.bits ?? 0;
  return bits === 0 ? undefined : Math.ceil((count * bits) / 8);
}
