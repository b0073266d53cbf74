import { availableParallelism } from 'node:os';
import { LowrankError } from '../errors.js';
import { type Executor, takeThread } from './decode-threads.js';
// Loads libvips on this thread: with glibc it would be unloaded with the first worker that ends otherwise.
import { createTaskRunner, type Task, type TaskResults } from './tasks.js';

/** Threads that run tasks in the order in which they are given. */
export interface Pool {
  readonly size: number;
  /**
   * Runs a task as soon as a thread is free; only then is it prepared, so that what it carries takes no memory before.
   * Throws what `prepare` throws, RUNTIME where a thread has died, ABORTED where the pool was closed.
   */
  run<Kind extends Task['kind']>(
    kind: Kind,
    prepare: () => TaskOf<Kind> | Promise<TaskOf<Kind>>,
  ): Promise<TaskResults[Kind]>;
  /** Gives the threads back once what they do is done; tasks that have not begun are dropped. Safe to call again. */
  close(): Promise<void>;
}

export type TaskOf<Kind extends Task['kind']> = Extract<Task, { readonly kind: Kind }>;

/** While libvips decodes an image of one task, the thread resamples one of the other. */
const tasksPerThread = 2;

/** As many threads as cores, within what libuv gives libvips to work with. */
export function defaultWorkers(): number {
  return Math.max(1, Math.min(availableParallelism(), threadPoolSize()));
}

/** libvips runs on libuv's threads: 4, unless UV_THREADPOOL_SIZE says otherwise when the process starts. */
function threadPoolSize(): number {
  const size = Number(process.env['UV_THREADPOOL_SIZE'] ?? 4);
  return Number.isSafeInteger(size) && size > 0 ? Math.min(size, 1024) : 4;
}

interface Waiting {
  readonly prepare: () => Task | Promise<Task>;
  readonly resolve: (results: TaskResults[Task['kind']]) => void;
  readonly reject: (error: unknown) => void;
}

/** A pool of `workers` threads; with 0 the tasks run on the thread that asks for them. */
export function createPool(workers: number): Pool {
  if (!Number.isSafeInteger(workers) || workers < 0 || workers > 1024) {
    throw new LowrankError('USAGE', `${workers} decode workers`, { remedy: 'give a whole number from 0 to 1024' });
  }
  const executors = Array.from({ length: Math.max(1, workers) }, () => (workers === 0 ? ownThread() : takeThread()));
  const busy = new Map(executors.map((executor) => [executor, 0]));
  const queue: Waiting[] = [];
  let closing: Promise<void> | undefined;

  const leastBusy = (): Executor | undefined => {
    let best: Executor | undefined;
    let least = tasksPerThread;
    for (const [executor, count] of busy) {
      if (count < least) [best, least] = [executor, count];
    }
    return best;
  };
  const start = async (executor: Executor, { prepare, resolve, reject }: Waiting): Promise<void> => {
    busy.set(executor, busy.get(executor)! + 1);
    try {
      resolve(await executor.run(await prepare()));
    } catch (error) {
      reject(error);
    }
    busy.set(executor, busy.get(executor)! - 1);
    pump();
  };
  const pump = (): void => {
    while (queue.length > 0) {
      const executor = leastBusy();
      if (executor === undefined) return;
      void start(executor, queue.shift()!);
    }
  };
  return {
    size: workers,
    run: (_, prepare) =>
      new Promise((resolve, reject) => {
        if (closing !== undefined) {
          reject(new LowrankError('ABORTED', 'the decode workers are closed'));
          return;
        }
        queue.push({ prepare, resolve: resolve as Waiting['resolve'], reject });
        pump();
      }),
    close() {
      closing ??= (async () => {
        for (const { reject } of queue.splice(0)) reject(new LowrankError('ABORTED', 'the decode workers are closed'));
        await Promise.all(executors.map((executor) => executor.close()));
      })();
      return closing;
    },
  };
}

function ownThread(): Executor {
  const runner = createTaskRunner();
  return {
    run: (task) => runner.run(task),
    close: () => {
      runner.close();
      return Promise.resolve();
    },
  };
}
