import { Worker } from 'node:worker_threads';
import { type ErrorCode, environmentError, LowrankError, throwIfAborted } from '../errors.js';
import { builtFile } from '../built-file.js';
import { compileOnOwnThread } from '../worker-flags.js';
import { type DenseReply, type DenseRequest, type DenseResults, memoryOf, workOf } from './dense/protocol.js';

/** Dense float64 problems, each in one worker thread. */
export interface WorkerPool {
  /**
   * The matrices of the request are moved to the worker and are empty afterwards. Throws what the solver throws, ABORTED at once where
   * the signal fires (the worker is then stopped), and INTERNAL where the worker dies or the pool is closed.
   */
  solve<R extends DenseRequest>(request: R, signal?: AbortSignal): Promise<DenseResults[R['kind']]>;
  close(): Promise<void>;
}

interface Job {
  readonly request: DenseRequest;
  readonly settle: (outcome: DenseReply | Error) => void;
}

/** Work, as the cube of the order, up to which a job waits for a busy worker: a second one compiles everything anew. */
const worthAnother = 6e8;

/**
 * Workers start when there is work for them, at most `size`; while idle they do not keep the process alive. A worker is
 * first given its own time to warm up: another starts only when much is waiting.
 */
export function createWorkerPool(size: number): WorkerPool {
  const idle: Worker[] = [];
  const busy = new Map<Worker, Job>();
  const queue: Job[] = [];
  const ending = new Set<Promise<number>>();
  let isClosed = false;

  const stop = (worker: Worker): void => {
    busy.delete(worker);
    worker.removeAllListeners();
    // A worker that dies while it is stopped has nothing left to say.
    worker.on('error', () => undefined);
    const end = worker.terminate();
    ending.add(end);
    void end.finally(() => ending.delete(end));
  };
  const startWorker = (): Worker => {
    compileOnOwnThread();
    // Flags such as --input-type, meant for the main script, would stop a worker from starting.
    const worker = new Worker(builtFile('linalg/dense/worker.js'), { execArgv: [] });
    worker.on('message', (reply: DenseReply) => {
      const job = busy.get(worker);
      busy.delete(worker);
      worker.unref();
      idle.push(worker);
      job?.settle(reply);
      dispatch();
    });
    worker.on('error', (cause) => {
      const job = busy.get(worker);
      stop(worker);
      const place = idle.indexOf(worker);
      if (place >= 0) idle.splice(place, 1);
      job?.settle(
        environmentError(cause) ?? new LowrankError('INTERNAL', `a worker thread failed: ${cause.message}`, { cause }),
      );
      dispatch();
    });
    return worker;
  };
  const isBacklog = (): boolean => {
    const jobs = [...busy.values(), ...queue];
    return busy.size === 0 || jobs.reduce((sum, { request }) => sum + workOf(request), 0) > worthAnother;
  };
  const dispatch = (): void => {
    while (queue.length > 0 && (idle.length > 0 || (busy.size < size && isBacklog()))) {
      const job = queue.shift()!;
      let worker: Worker;
      try {
        worker = idle.pop() ?? startWorker();
      } catch (error) {
        job.settle(error as Error);
        continue;
      }
      busy.set(worker, job);
      worker.ref();
      worker.postMessage(job.request, memoryOf(job.request));
    }
  };

  return {
    solve: async <R extends DenseRequest>(request: R, signal?: AbortSignal): Promise<DenseResults[R['kind']]> => {
      throwIfAborted(signal);
      if (isClosed) throw new LowrankError('INTERNAL', 'the worker pool is closed');
      let onAbort: (() => void) | undefined;
      try {
        const outcome = await new Promise<DenseReply | Error>((resolve) => {
          const job: Job = { request, settle: resolve };
          onAbort = () => {
            const place = queue.indexOf(job);
            if (place >= 0) queue.splice(place, 1);
            for (const [worker, running] of busy) if (running === job) stop(worker);
            resolve(new LowrankError('ABORTED', 'interrupted'));
            dispatch();
          };
          signal?.addEventListener('abort', onAbort, { once: true });
          queue.push(job);
          dispatch();
        });
        if (outcome instanceof Error) throw outcome;
        if ('error' in outcome) throw new LowrankError(outcome.error.code as ErrorCode, outcome.error.fact);
        return outcome.result as DenseResults[R['kind']];
      } finally {
        if (onAbort !== undefined) signal?.removeEventListener('abort', onAbort);
      }
    },
    close: async () => {
      isClosed = true;
      const closed = (): LowrankError => new LowrankError('INTERNAL', 'the worker pool is closed');
      for (const job of queue.splice(0)) job.settle(closed());
      for (const [worker, job] of busy) {
        stop(worker);
        job.settle(closed());
      }
      for (const worker of idle.splice(0)) stop(worker);
      await Promise.allSettled(ending);
    },
  };
}
