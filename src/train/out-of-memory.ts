import { LowrankError, messageOf } from '../errors.js';

const allocationFailure =
  /fail\w* to allocate|bad[ _]alloc|out of memory|not enough memory|smaller than requested bytes|ALLOC_FAILED|CUDA failure 2:/i;

/** onnxruntime's failures to get memory, with what to do about them. */
export async function orOutOfMemory<T>(running: Promise<T>): Promise<T> {
  try {
    return await running;
  } catch (error) {
    const isMemory =
      error instanceof LowrankError && ['RUNTIME', 'DEVICE'].includes(error.code) && allocationFailure.test(error.fact);
    throw isMemory ? outOfMemory(error) : error;
  }
}

const memoryErrors = new WeakSet<LowrankError>();

/** There is too little memory for a training step. */
export function outOfMemory(cause: unknown): LowrankError {
  const error = new LowrankError('RUNTIME', `out of memory: ${messageOf(cause)}`, {
    remedy:
      'give --micro-batch auto, or lower --batch-size (with --accumulate the update stays the same), then --image-size or --cache',
    cause,
  });
  memoryErrors.add(error);
  return error;
}

/** Whether an error says that there is too little memory for a training step. */
export function isOutOfMemory(error: unknown): error is LowrankError {
  return error instanceof LowrankError && memoryErrors.has(error);
}
