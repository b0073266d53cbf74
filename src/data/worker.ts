import { parentPort } from 'node:worker_threads';
import { LowrankError, messageOf, type ErrorCode } from '../errors.js';
import { createTaskRunner, type Task, type TaskResults } from './tasks.js';

/** To a decode thread. When the tasks that run are done, 'rest' closes its files, and 'end' ends it. */
export type WorkerRequest = { readonly id: number; readonly task: Task } | 'rest' | 'end';

/** From a decode thread. */
export type WorkerReply =
  | { readonly id: number; readonly results: TaskResults[Task['kind']] }
  | { readonly id: number; readonly error: { readonly code: ErrorCode; readonly fact: string } }
  | 'at rest';

const port = parentPort;
if (port !== null) {
  const runner = createTaskRunner();
  let running = 0;
  let asked: 'rest' | 'end' | undefined;
  const stopIfDone = (): void => {
    if (asked === undefined || running > 0) return;
    runner.close();
    if (asked === 'end') port.close();
    else port.postMessage('at rest' satisfies WorkerReply);
    asked = undefined;
  };
  port.on('message', (request: WorkerRequest) => {
    if (request === 'rest' || request === 'end') {
      asked = request;
      stopIfDone();
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
        stopIfDone();
      })
      .catch((error: unknown) => {
        throw error;
      });
  });
}
