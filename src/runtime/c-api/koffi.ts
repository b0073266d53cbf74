import type koffi from 'koffi';
import { LowrankError, messageOf } from '../../errors.js';

export type Koffi = typeof koffi;

/**
 * Asynchronous calls run on a stack of koffi's own, 128 KiB by default: less than onnxruntime's kernels and graph
 * passes may use. 8 MiB is what a main thread has; pages are taken only when touched.
 */
const ASYNC_STACK_BYTES = 8 * 2 ** 20;

let loading: Promise<Koffi> | undefined;

/** The foreign function interface, loaded at the first call. Throws RUNTIME where this platform has no koffi binary. */
export function loadKoffi(): Promise<Koffi> {
  loading ??= importKoffi();
  return loading;
}

async function importKoffi(): Promise<Koffi> {
  try {
    const { default: koffi } = await import('koffi');
    if (koffi.config().async_stack_size !== ASYNC_STACK_BYTES) koffi.config({ async_stack_size: ASYNC_STACK_BYTES });
    return koffi;
  } catch (error) {
    throw new LowrankError('RUNTIME', `koffi cannot be loaded: ${messageOf(error)}`, {
      remedy: 'install its optional packages (npm install without --omit=optional)',
      cause: error,
    });
  }
}
