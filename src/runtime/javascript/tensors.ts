import type { InferenceSession, Tensor } from 'onnxruntime-node';
import { LowrankError } from '../../errors.js';
import { ELEMENT_TYPES } from '../element-type.js';
import type { ElementType, RuntimeTensor, TensorData, ValueInfo } from '../types.js';
import type { OnnxRuntime } from './driver.js';

/**
 * A tensor of onnxruntime-node over the memory of ours. Throws UNSUPPORTED for bfloat16 and for shared memory, which it
 * cannot use in place.
 */
export function wrapTensor(runtime: OnnxRuntime, tensor: RuntimeTensor): Tensor {
  if (tensor.type === 'bfloat16') throw unsupported('bfloat16 tensors');
  if (tensor.data.buffer instanceof SharedArrayBuffer) throw unsupported('tensors in shared memory');
  return new runtime.Tensor(tensor.type, tensor.data, tensor.dims);
}

/** The same for a feed, which is only read: shared memory is copied. */
export function wrapFeed(runtime: OnnxRuntime, tensor: RuntimeTensor): Tensor {
  const isShared = tensor.data.buffer instanceof SharedArrayBuffer;
  return wrapTensor(runtime, isShared ? { ...tensor, data: tensor.data.slice() } : tensor);
}

/** Ours over the memory of onnxruntime-node's. Throws UNSUPPORTED for an element type that cannot cross. */
export function unwrapTensor(tensor: Tensor): RuntimeTensor {
  if (!isElementType(tensor.type)) throw unsupported(`${tensor.type} tensors`);
  const { array } = ELEMENT_TYPES[tensor.type];
  const data = tensor.data as TensorData;
  // Newer engines hand out a Float16Array.
  const view = data instanceof array ? data : new array(data.buffer as ArrayBuffer, data.byteOffset, data.length);
  return { type: tensor.type, dims: [...tensor.dims], data: view };
}

export function toValueInfos(values: readonly InferenceSession.ValueMetadata[]): ValueInfo[] {
  return values.map((value) => {
    if (!value.isTensor) return { name: value.name, type: 'other', dims: [] };
    const type = isElementType(value.type) || value.type === 'string' ? value.type : 'other';
    return { name: value.name, type, dims: value.shape.map((dim) => (typeof dim === 'number' ? dim : -1)) };
  });
}

function isElementType(type: string): type is ElementType {
  return Object.hasOwn(ELEMENT_TYPES, type);
}

function unsupported(what: string): LowrankError {
  return new LowrankError('UNSUPPORTED', `the JavaScript driver has no ${what}`, {
    remedy: 'use the C-API driver',
  });
}
