import { stat } from 'node:fs/promises';
import { LowrankError, throwIfAborted } from '../errors.js';
import type { Device } from './types.js';

/** Where a model came from, for messages. */
export function modelPlace(model: string | Uint8Array): string {
  return typeof model === 'string' ? `in ${model}` : `in a model of ${model.length} bytes`;
}

/** Throws INPUT where `model` is a path without a file, RUNTIME where it is no bytes at all. */
export async function checkModel(model: string | Uint8Array): Promise<void> {
  if (typeof model !== 'string') {
    if (model.length === 0) throw new LowrankError('RUNTIME', 'the model has no bytes');
    return;
  }
  const found = await stat(model).catch(() => undefined);
  if (found === undefined) throw new LowrankError('INPUT', 'no such file', { place: model });
  if (!found.isFile()) throw new LowrankError('INPUT', 'not a file', { place: model });
}

/** What onnxruntime says of a failed call of CUDA, cuBLAS or cuDNN: its number and text, without the machine and the source. */
const cudaFailure = /(\S+ failure -?\d+: .*?) ; GPU=-?\d+ ; hostname=\S* ; file=\S+ ; line=\d+ ; expr=(.*?);?\s*$/s;

/** onnxruntime's message without the source locations of failed checks. */
export function readable(message: string): string {
  const cuda = cudaFailure.exec(message);
  if (cuda !== null) return `${cuda[1]!} (${cuda[2]!.replace(/\(.*$/s, '')})`;
  return message
    .replaceAll(/\S+\.(?:cc|cpp|h):\d+ .*? was false\. ?/g, '')
    .replaceAll(/\S+\.(?:cc|cpp|h):\d+ [^[]*(?=\[ONNXRuntimeError\])/g, '')
    .replaceAll(/\[ONNXRuntimeError\] : \d+ : \w+ : /g, '')
    .replaceAll(/\S+\.(?:cc|cpp|h):\d+ [\w:~]+(?:\([^)]*\))? ?/g, '')
    .trim();
}

const allocationFailure =
  /fail\w* to allocate|bad[ _]alloc|out of memory|not enough memory|smaller than requested bytes|ALLOC_FAILED|CUDA failure 2:/i;

/** Whether onnxruntime failed to get memory. */
export function isAllocationFailure(error: unknown): error is LowrankError {
  return (
    error instanceof LowrankError && ['RUNTIME', 'DEVICE'].includes(error.code) && allocationFailure.test(error.fact)
  );
}

/** What to do about a failure of onnxruntime, where that can be said. */
function remedyOf(message: string): { readonly remedy?: string } {
  if (!allocationFailure.test(message)) return {};
  return {
    remedy:
      'free memory, or make the inputs smaller with --input-shape, or make the images smaller with --image-size, or lower --batch-size',
  };
}

/** onnxruntime refused a model, or a device refused to start. */
export function sessionError(
  model: string | Uint8Array,
  device: Device,
  message: string,
  cause?: unknown,
): LowrankError {
  // Only failures that speak of the device are the device's.
  const isDeviceFailure =
    (device === 'cuda' && /CUDA|cuDNN|cuBLAS|libcu/i.test(message)) ||
    (device === 'webgpu' && /WebGPU|adapter|Dawn|Vulkan|Metal|D3D12/i.test(message));
  if (isDeviceFailure) {
    return deviceError(device, message, cause);
  }
  const isNamed = typeof model === 'string' && message.includes(model);
  return new LowrankError('RUNTIME', `onnxruntime cannot load the model: ${readable(message)}`, {
    ...(isNamed ? {} : { place: modelPlace(model) }),
    ...remedyOf(message),
    cause,
  });
}

/** A run failed: ABORTED where the signal ended it, else RUNTIME. */
export function runError(signal: AbortSignal | undefined, message: string, cause?: unknown): LowrankError {
  throwIfAborted(signal);
  return new LowrankError('RUNTIME', `onnxruntime failed: ${readable(message)}`, { ...remedyOf(message), cause });
}

/** onnxruntime could not start a device. */
export function deviceError(device: Device, message: string, cause?: unknown): LowrankError {
  return new LowrankError('DEVICE', `${device} cannot be used: ${readable(message)}`, {
    remedy: 'run lowrank-doctor to see what is missing, or use --device cpu',
    cause,
  });
}
