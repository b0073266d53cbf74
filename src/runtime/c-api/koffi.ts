import type koffi from 'koffi';
import { LowrankError, messageOf } from '../../errors.js';

export type Koffi = typeof koffi;

/**
 * Calls run on stacks of koffi's own, by default of 1 MiB, asynchronous ones of 128 KiB: less than onnxruntime's kernels and
 * graph passes may use. 8 MiB is what a main thread has; pages are taken only when touched.
 */
const STACK_BYTES = 8 * 2 ** 20;

let loading: Promise<Koffi> | undefined;

/** The foreign function interface, loaded at the first call. Throws RUNTIME where this platform has no koffi binary. */
export function loadKoffi(): Promise<Koffi> {
  loading ??= importKoffi();
  return loading;
}

async function importKoffi(): Promise<Koffi> {
  try {
    const { default: koffi } = await import('koffi');
    if (koffi.config().async_stack_size !== STACK_BYTES) {
      koffi.config({ sync_stack_size: STACK_BYTES, async_stack_size: STACK_BYTES });
    }
    return koffi;
  } catch (error) {
    throw new LowrankError('RUNTIME', `koffi cannot be loaded: ${messageOf(error)}`, {
      remedy: 'install its optional packages (`npm install` without `--omit=optional`)',
      cause: error,
    });
  }
}
