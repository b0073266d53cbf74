import { LowrankError } from '../errors.js';
import * as codes from '../onnx/data-type.js';
import type { TensorType } from '../ops/operator.js';
import type { ElementType, RuntimeTensor, TensorData } from '../runtime/types.js';

interface Element {
  readonly code: number;
  /** Ones for floats, zeros for what may be an index or a flag. */
  readonly fill: (size: number) => TensorData;
}

const float16One = 0x3c00;
const bfloat16One = 0x3f80;

const elements: Readonly<Record<ElementType, Element>> = {
  float32: { code: codes.FLOAT, fill: (size) => new Float32Array(size).fill(1) },
  float64: { code: codes.DOUBLE, fill: (size) => new Float64Array(size).fill(1) },
  float16: { code: codes.FLOAT16, fill: (size) => new Uint16Array(size).fill(float16One) },
  bfloat16: { code: codes.BFLOAT16, fill: (size) => new Uint16Array(size).fill(bfloat16One) },
  int8: { code: codes.INT8, fill: (size) => new Int8Array(size) },
  uint8: { code: codes.UINT8, fill: (size) => new Uint8Array(size) },
  int16: { code: codes.INT16, fill: (size) => new Int16Array(size) },
  uint16: { code: codes.UINT16, fill: (size) => new Uint16Array(size) },
  int32: { code: codes.INT32, fill: (size) => new Int32Array(size) },
  uint32: { code: codes.UINT32, fill: (size) => new Uint32Array(size) },
  int64: { code: codes.INT64, fill: (size) => new BigInt64Array(size) },
  uint64: { code: codes.UINT64, fill: (size) => new BigUint64Array(size) },
  bool: { code: codes.BOOL, fill: (size) => new Uint8Array(size) },
};

/** An input to run a model with where only shapes matter. Throws UNSUPPORTED for strings and sub-byte types. */
export function ones({ dataType, dims }: TensorType): RuntimeTensor {
  const entry = Object.entries(elements).find(([, { code }]) => code === dataType);
  if (entry === undefined) {
    throw new LowrankError('UNSUPPORTED', `no input of type ${codes.dataTypeName(dataType)} can be made`);
  }
  const size = dims.reduce((product, dim) => product * dim, 1);
  return { type: entry[0] as ElementType, dims, data: entry[1].fill(size) };
}

/** The type of a tensor that a run gave, in ONNX's code. */
export function typeOfTensor({ type, dims }: RuntimeTensor): TensorType {
  return { dataType: elements[type].code, dims: [...dims] };
}
