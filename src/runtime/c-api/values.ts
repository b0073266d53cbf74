import { LowrankError } from '../../errors.js';
import { ELEMENT_TYPES, elementCount, elementTypeOf } from '../element-type.js';
import type { RuntimeTensor, ValueInfo } from '../types.js';
import type { NativeApi } from './api.js';

/** Memory for OrtValues without elements: onnxruntime wants an address even then. */
const nothing = new BigUint64Array(1);

/**
 * An OrtValue over the memory of `tensor`, without a copy: the caller keeps `tensor` referenced for as long as native
 * code may use the value, and releases the value. Throws RUNTIME.
 */
export function wrapTensor(api: NativeApi, memoryInfo: bigint, tensor: RuntimeTensor): bigint {
  const dims = BigInt64Array.from(tensor.dims, BigInt);
  return api.create(
    'CreateTensorWithDataAsOrtValue',
    memoryInfo,
    tensor.data.length === 0 ? nothing : tensor.data,
    tensor.data.byteLength,
    dims.length === 0 ? nothing : dims,
    dims.length,
    ELEMENT_TYPES[tensor.type].id,
  );
}

/** A copy of the tensor in an OrtValue in CPU memory. Throws UNSUPPORTED for an element type that cannot cross. */
export function copyTensor(api: NativeApi, name: string, value: bigint): RuntimeTensor {
  const tensorInfo = api.create('GetTensorTypeAndShape', value);
  const { type, dims } = readTensorInfo(api, tensorInfo);
  api.release('ReleaseTensorTypeAndShapeInfo', tensorInfo);
  if (type === 'string' || type === 'other') {
    throw new LowrankError('UNSUPPORTED', `output '${name}' is not a tensor of a number type`);
  }
  const { array, bytes } = ELEMENT_TYPES[type];
  const count = elementCount(dims);
  if (count === 0) return { type, dims, data: new array(0) };
  return { type, dims, data: new array(api.copy(api.create('GetTensorMutableData', value), count * bytes)) };
}

/** Element type and dims of an OrtTensorTypeAndShapeInfo. */
function readTensorInfo(api: NativeApi, tensorInfo: bigint): Omit<ValueInfo, 'name'> {
  const type = new Int32Array(1);
  api.call('GetTensorElementType', tensorInfo, type);
  const rank = new BigUint64Array(1);
  api.call('GetDimensionsCount', tensorInfo, rank);
  const dims = new BigInt64Array(Number(rank[0]));
  if (dims.length > 0) api.call('GetDimensions', tensorInfo, dims, dims.length);
  return { type: elementTypeOf(type[0] ?? 0), dims: Array.from(dims, Number) };
}

/** The inputs or outputs of an OrtSession. */
export function readValueInfos(api: NativeApi, session: bigint, kind: 'Input' | 'Output'): ValueInfo[] {
  const allocator = api.create('GetAllocatorWithDefaultOptions');
  const count = Number(api.create(`SessionGet${kind}Count`, session));
  return Array.from({ length: count }, (_, index) => {
    const nameAddress = api.create(`SessionGet${kind}Name`, session, index, allocator);
    const name = api.text(nameAddress);
    api.call('AllocatorFree', allocator, nameAddress);
    const typeInfo = api.create(`SessionGet${kind}TypeInfo`, session, index);
    try {
      const tensorInfo = api.create('CastTypeInfoToTensorInfo', typeInfo); // owned by typeInfo; NULL for other kinds
      return tensorInfo === 0n ? { name, type: 'other', dims: [] } : { name, ...readTensorInfo(api, tensorInfo) };
    } finally {
      api.release('ReleaseTypeInfo', typeInfo);
    }
  });
}
