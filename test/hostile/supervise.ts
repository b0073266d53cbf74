import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import type { Reader } from './corpus.js';

/** Not compiled: tests and benchmarks run in the folder of the project. */
const script = resolve('test/hostile/reader.js');

export interface Reading {
  /** Of a LowrankError, else the name of the error; undefined: none. */
  readonly code: string | undefined;
  readonly message: string;
  readonly seconds: number;
  /** More than the process had when it began. */
  readonly extraBytes: number;
}

export interface Supervisor {
  /** Throws where the reader takes longer than `seconds`, or its process ends. */
  read(reader: Reader, path: string, seconds: number): Promise<Reading>;
  close(): void;
}

/**
 * Reads files in a process of its own, which needs `npm run build`. Peak memory never falls, so a process that has needed
 * more than `freshAbove` bytes is exchanged.
 */
export function supervisor(freshAbove: number): Supervisor {
  let child: ChildProcess | undefined;
  let beginning = 0;
  const stop = (): void => {
    child?.kill('SIGKILL');
    child = undefined;
  };
  const next = async (process: ChildProcess, seconds: number): Promise<Reading & { readonly peakBytes: number }> => {
    const done = new AbortController();
    const signal = AbortSignal.any([done.signal, AbortSignal.timeout(1000 * seconds)]);
    const ended = once(process, 'exit', { signal }).then(([code, by]) => {
      throw new Error(`the process ended with ${String(code ?? by)}`);
    });
    try {
      const [message] = (await Promise.race([once(process, 'message', { signal }), ended])) as [never];
      return message;
    } catch (error) {
      stop();
      throw signal.aborted ? new Error(`more than ${seconds} s`, { cause: error }) : error;
    } finally {
      ended.catch(() => undefined);
      done.abort();
    }
  };
  return {
    async read(reader, path, seconds) {
      if (child === undefined) {
        child = fork(script, {
          execArgv: [],
          stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
        });
        beginning = (await next(child, 60)).peakBytes;
      }
      const reading = next(child, seconds);
      child.send({ reader, path });
      const { code, message, seconds: taken, peakBytes } = await reading;
      const extraBytes = peakBytes - beginning;
      if (extraBytes > freshAbove) stop();
      return { code, message, seconds: taken, extraBytes };
    },
    close: stop,
  };
}
