import { Worker } from 'node:worker_threads';
import { LowrankError, messageOf } from '../errors.js';
import { compileOnOwnThread } from '../worker-flags.js';
import { builtFile } from '../built-file.js';
import type { Task, TaskResults } from './tasks.js';
import type { WorkerReply, WorkerRequest } from './worker.js';

/** What runs tasks: a thread, or with 0 workers the one that asks. */
export interface Executor {
  run(task: Task): Promise<TaskResults[Task['kind']]>;
  /** Resolves when what runs is done, and no file is open. */
  close(): Promise<void>;
}

/** A thread that does not end by itself, or does not come to rest, is ended after this many milliseconds. */
const patience = 5000;
/** Milliseconds that a thread without a pool waits for the next one. */
const idleMilliseconds = 10_000;
/** Of more, those that come last end at once. */
const mostIdle = 8;

interface Thread extends Executor {
  readonly isAlive: () => boolean;
  /** Ends it. */
  end(): Promise<void>;
}

/** Threads whose pool was closed, each with what ends it. */
const idle = new Map<Thread, NodeJS.Timeout>();

/**
 * A thread that decodes: one that another pool has done with, or a new one. To start a thread and load libvips there takes as
 * long as hundreds of small images. Closed, it waits for the next pool a while, and keeps no process alive.
 */
export function takeThread(): Executor {
  const thread = idleThread() ?? startThread();
  return {
    run: (task) => thread.run(task),
    async close() {
      await thread.close();
      if (!thread.isAlive()) return;
      if (idle.size >= mostIdle) await thread.end();
      else idle.set(thread, setTimeout(() => void endIdle(thread), idleMilliseconds).unref());
    },
  };
}

function idleThread(): Thread | undefined {
  for (const [thread, timer] of idle) {
    clearTimeout(timer);
    idle.delete(thread);
    if (thread.isAlive()) return thread;
  }
  return undefined;
}

function endIdle(thread: Thread): Promise<void> {
  idle.delete(thread);
  return thread.end();
}

interface Running {
  readonly resolve: (results: TaskResults[Task['kind']]) => void;
  readonly reject: (error: LowrankError) => void;
}

function startThread(): Thread {
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
  let rested: (() => void) | undefined;
  worker.on('message', (reply: WorkerReply) => {
    if (reply === 'at rest') {
      rested?.();
      return;
    }
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
    isAlive: () => death === undefined,
    async close() {
      if (death !== undefined) return;
      worker.ref();
      const atRest = new Promise<void>((resolve) => (rested = resolve));
      send('rest');
      await endedIn(Promise.race([atRest, exited]), worker);
      worker.unref();
    },
    async end() {
      if (death !== undefined) return;
      worker.ref();
      send('end');
      await endedIn(exited, worker);
    },
  };
}

/** Waits for what the thread was asked for, and ends it where that does not come. */
async function endedIn(done: Promise<void>, worker: Worker): Promise<void> {
  const timer = setTimeout(() => void worker.terminate(), patience);
  await done;
  clearTimeout(timer);
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
