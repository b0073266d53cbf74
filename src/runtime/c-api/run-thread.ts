import { Worker } from 'node:worker_threads';
import { builtFile } from '../../built-file.js';
import { LowrankError } from '../../errors.js';
import { compileOnOwnThread } from '../../worker-flags.js';
import type { Failure } from './api.js';

/** The arguments of one `RunWithBinding`: addresses, which all threads of a process share. */
export interface ThreadedRun {
  readonly session: bigint;
  readonly runOptions: bigint;
  readonly binding: bigint;
}

/** What the thread answers: what the status of the run says where it failed. */
export type ThreadReply = Failure | undefined;

/**
 * A thread that does runs one after the other. Other runs take whichever thread of libuv's pool is free; but a CUDA graph
 * belongs to the thread that recorded it (onnxruntime keeps it in the provider's context of that thread).
 */
export interface RunThread {
  /** Never rejects for a failed status. Throws INTERNAL where the thread has died. */
  run(run: ThreadedRun): Promise<ThreadReply>;
}

const threads = new Map<string, RunThread>();

/** The one thread for the runs of a libonnxruntime, which is given by its path. It keeps no process alive. */
export function runThread(library: string): RunThread {
  let thread = threads.get(library);
  if (thread === undefined) threads.set(library, (thread = startThread(library)));
  return thread;
}

function startThread(library: string): RunThread {
  compileOnOwnThread();
  const worker = new Worker(builtFile('runtime/c-api/run-worker.js'), { workerData: library, execArgv: [] });
  worker.unref();
  const waiting: { readonly resolve: (reply: ThreadReply) => void; readonly reject: (error: Error) => void }[] = [];
  let death: LowrankError | undefined;
  worker.on('message', (reply: ThreadReply) => {
    const first = waiting.shift();
    if (waiting.length === 0) worker.unref();
    first?.resolve(reply);
  });
  const die = (fact: string, cause?: unknown): void => {
    threads.delete(library);
    death ??= new LowrankError('INTERNAL', `the thread for runs has ended: ${fact}`, { cause });
    for (const { reject } of waiting.splice(0)) reject(death);
  };
  worker.on('error', (error) => {
    die(error.message, error);
  });
  worker.on('exit', (code) => {
    die(`with ${code}`);
  });
  return {
    run: (run) =>
      new Promise((resolve, reject) => {
        if (death !== undefined) {
          reject(death);
          return;
        }
        waiting.push({ resolve, reject });
        worker.ref();
        worker.postMessage(run, []);
      }),
  };
}
