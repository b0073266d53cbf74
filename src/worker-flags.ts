import { setFlagsFromString } from 'node:v8';

let isDone = false;

/**
 * To be called before a worker thread is started that may be stopped at its work: from then on V8 optimizes functions on the
 * thread that runs them. Else a worker may end while another thread compiles for it, and Node 20 then aborts the whole process
 * ("Assertion failed: (data.first) != nullptr"): one in about a hundred stopped workers did.
 */
export function compileOnOwnThread(): void {
  if (isDone) return;
  isDone = true;
  setFlagsFromString('--no-concurrent-recompilation');
}
