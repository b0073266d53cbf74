import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { LowrankError, messageOf } from '../errors.js';
import { compileOnOwnThread } from '../worker-flags.js';
import { builtFile } from '../built-file.js';
// Loads libvips on this thread: with glibc it would be unloaded with the first worker that ends otherwise.
import { createTaskRunner, type Task, type TaskResults } from './tasks.js';
import type { WorkerReply, WorkerRequest } from './worker.js';

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
  /** Ends the threads once what they do is done; tasks that have not begun are dropped. Safe to call again. */
  close(): Promise<void>;
}

export type TaskOf<Kind extends Task['kind']> = Extract<Task, { readonly kind: Kind }>;

/** While libvips decodes an image of one task, the thread resamples one of the other. */
const tasksPerThread = 2;

/** A thread that does not end by itself is ended after this many milliseconds. */
const patience = 5000;

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

/** What runs tasks: a thread, or with 0 workers this one. */
interface Executor {
  run(task: Task): Promise<TaskResults[Task['kind']]>;
  close(): Promise<void>;
}

/** A pool of `workers` threads; with 0 the tasks run on the thread that asks for them. */
export function createPool(workers: number): Pool {
  if (!Number.isSafeInteger(workers) || workers < 0 || workers > 1024) {
    throw new LowrankError('USAGE', `${workers} decode workers`, { remedy: 'give a whole number from 0 to 1024' });
  }
  const executors = Array.from({ length: Math.max(1, workers) }, () => (workers === 0 ? ownThread() : startThread()));
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

interface Running {
  readonly resolve: (results: TaskResults[Task['kind']]) => void;
  readonly reject: (error: LowrankError) => void;
}

function startThread(): Executor {
  compileOnOwnThread();
  const worker = new Worker(builtFile('data/worker.js'));
  const running = new Map<number, Running>();
  let nextId = 0;
  let death: LowrankError | undefined;
  const exited = new Promise<void>((resolve) => {
    worker.once('exit', (code) => {
      die(`it ended with ${code}`);
      resolve();
    });
  });
  const die = (fact: string, cause?: unknown): void => {
    death ??= new LowrankError('RUNTIME', `a decode worker has died: ${fact}`, {
      remedy: 'use fewer workers, or a smaller --max-pixels, if memory is short',
      cause,
    });
    for (const { reject } of running.values()) reject(death);
    running.clear();
  };
  worker.on('error', (error) => {
    die(messageOf(error), error);
  });
  worker.on('message', (reply: WorkerReply) => {
    const task = running.get(reply.id);
    running.delete(reply.id);
    if (running.size === 0) worker.unref();
    if (task === undefined) return;
    if ('error' in reply) task.reject(new LowrankError(reply.error.code, reply.error.fact));
    else task.resolve(reply.results);
  });
  // A thread without work keeps no process alive.
  worker.unref();
  const send = (request: WorkerRequest, transfer: ArrayBuffer[] = []): void => {
    worker.postMessage(request, transfer);
  };
  return {
    run: (task) =>
      new Promise((resolve, reject) => {
        if (death !== undefined) {
          reject(death);
          return;
        }
        const id = nextId++;
        running.set(id, { resolve, reject });
        worker.ref();
        const { task: sent, transfer } = transferable(task);
        send({ id, task: sent }, transfer);
      }),
    async close() {
      if (death !== undefined) return;
      worker.ref();
      send('close');
      const timer = setTimeout(() => void worker.terminate(), patience);
      await exited;
      clearTimeout(timer);
    },
  };
}

/**
 * Images inside a task are copied once, into memory that moves to the thread: a message would clone all they are part of.
 * Those in shared memory are not copied.
 */
function transferable(task: Task): { readonly task: Task; readonly transfer: ArrayBuffer[] } {
  const transfer: ArrayBuffer[] = [];
  const own = (bytes: Uint8Array): Uint8Array => {
    const copy = new Uint8Array(bytes);
    transfer.push(copy.buffer);
    return copy;
  };
  const move = <Content extends object>(content: Content): Content => {
    if ('bytes' in content) return { ...content, bytes: own(content.bytes as Uint8Array) };
    if (!('pixels' in content)) return content;
    const pixels = content.pixels as { readonly data: Uint8Array };
    if (pixels.data.buffer instanceof SharedArrayBuffer) return content;
    return { ...content, pixels: { ...pixels, data: own(pixels.data) } };
  };
  switch (task.kind) {
    case 'render':
      return {
        task: { ...task, images: task.images.map((image) => ({ ...image, content: move(image.content) })) },
        transfer,
      };
    case 'inspect':
      return { task: { ...task, images: task.images.map(move) }, transfer };
    case 'decode':
      return { task: { ...task, images: task.images.map(move) }, transfer };
    case 'encode':
      return { task: { ...task, images: task.images.map(move) }, transfer };
  }
}
