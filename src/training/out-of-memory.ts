import { LowrankError, messageOf } from '../errors.js';
import { isAllocationFailure } from '../runtime/failure.js';

/** onnxruntime's failures to get memory, with what to do about them. */
export async function orOutOfMemory<T>(running: Promise<T>): Promise<T> {
  try {
    return await running;
  } catch (error) {
    throw isAllocationFailure(error) ? outOfMemory(error) : error;
  }
}

const memoryErrors = new WeakSet<LowrankError>();

/** There is too little memory for a training step. */
export function outOfMemory(cause: unknown): LowrankError {
  const error = new LowrankError(
    'RUNTIME',
    `out of memory: ${cause instanceof LowrankError ? cause.fact : messageOf(cause)}`,
    {
      remedy:
        'give --micro-batch auto, or lower --batch-size (with --accumulate the update stays the same), then --image-size or --cache-images',
      cause,
    },
  );
  memoryErrors.add(error);
  return error;
}

/** Whether an error says that there is too little memory for a training step. */
export function isOutOfMemory(error: unknown): error is LowrankError {
  return error instanceof LowrankError && memoryErrors.has(error);
}
