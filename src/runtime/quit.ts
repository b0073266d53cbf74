import { loadKoffi } from './c-api/koffi.js';

/**
 * A function that ends the process at once, without waiting for native code on other threads, such as a run or the
 * decoding of an image. undefined where there is none. Handlers of 'exit' are called.
 */
export async function loadQuit(): Promise<((code: number) => void) | undefined> {
  if (process.platform === 'win32') return undefined;
  try {
    const koffi = await loadKoffi();
    const leave = koffi.load(null).func('void _exit(int code)') as (code: number) => void;
    return (code) => {
      process.emit('exit', code);
      leave(code);
    };
  } catch {
    return undefined;
  }
}
