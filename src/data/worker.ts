import { parentPort } from 'node:worker_threads';
import { LowrankError, messageOf, type ErrorCode } from '../errors.js';
import { createTaskRunner, type Task, type TaskResults } from './tasks.js';

/** To a decode thread. 'close' ends it when the tasks that run are done. */
export type WorkerRequest = { readonly id: number; readonly task: Task } | 'close';

/** From a decode thread. */
export type WorkerReply =
  | { readonly id: number; readonly results: TaskResults[Task['kind']] }
  | { readonly id: number; readonly error: { readonly code: ErrorCode; readonly fact: string } };

const port = parentPort;
if (port !== null) {
  const runner = createTaskRunner();
  let running = 0;
  let isClosing = false;
  const closeIfDone = (): void => {
    if (!isClosing || running > 0) return;
    runner.close();
    port.close();
  };
  port.on('message', (request: WorkerRequest) => {
    if (request === 'close') {
      isClosing = true;
      closeIfDone();
      return;
    }
    const { id, task } = request;
    running += 1;
    runner
      .run(task)
      .then(
        (results): WorkerReply => ({ id, results }),
        (error: unknown): WorkerReply => {
          const code = error instanceof LowrankError ? error.code : 'INTERNAL';
          return { id, error: { code, fact: error instanceof LowrankError ? error.fact : messageOf(error) } };
        },
      )
      .then((reply) => {
        running -= 1;
        port.postMessage(reply);
        closeIfDone();
      })
      .catch((error: unknown) => {
        throw error;
      });
  });
}
