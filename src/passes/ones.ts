import { LowrankError } from '../errors.js';
import { dataTypeName } from '../onnx/data-type.js';
import type { TensorType } from '../ops/operator.js';
import type { ElementType, RuntimeTensor, TensorData } from '../runtime/types.js';

const float16One = 0x3c00;
const bfloat16One = 0x3f80;

/** Ones for floats, zeros for what may be an index or a flag. */
const fill: Readonly<Record<ElementType, (size: number) => TensorData>> = {
  float32: (size) => new Float32Array(size).fill(1),
  float64: (size) => new Float64Array(size).fill(1),
  float16: (size) => new Uint16Array(size).fill(float16One),
  bfloat16: (size) => new Uint16Array(size).fill(bfloat16One),
  int8: (size) => new Int8Array(size),
  uint8: (size) => new Uint8Array(size),
  int16: (size) => new Int16Array(size),
  uint16: (size) => new Uint16Array(size),
  int32: (size) => new Int32Array(size),
  uint32: (size) => new Uint32Array(size),
  int64: (size) => new BigInt64Array(size),
  uint64: (size) => new BigUint64Array(size),
  bool: (size) => new Uint8Array(size),
};

const isElementType = (name: string): name is ElementType => Object.hasOwn(fill, name);

/** ONNX's codes of the types above: they are all among the first sixteen. */
const codes = new Map(Array.from({ length: 17 }, (_, code) => [dataTypeName(code), code]));

/** An input to run a model with where only shapes matter. Throws UNSUPPORTED for strings and sub-byte types. */
export function ones({ dataType, dims }: TensorType): RuntimeTensor {
  const type = dataTypeName(dataType);
  if (!isElementType(type)) throw new LowrankError('UNSUPPORTED', `no input of type ${type} can be made`);
  const size = dims.reduce((product, dim) => product * dim, 1);
  return { type, dims, data: fill[type](size) };
}

/** The type of a tensor that a run gave, with ONNX's code. */
export function typeOfTensor({ type, dims }: RuntimeTensor): TensorType {
  return { dataType: codes.get(type)!, dims: [...dims] };
}
