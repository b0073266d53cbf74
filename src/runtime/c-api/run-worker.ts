import { parentPort, workerData } from 'node:worker_threads';
import { loadApi } from './api.js';
import type { ThreadedRun } from './run-thread.js';

// The thread of `runThread`: every run is a call that blocks this thread.
if (parentPort !== null) {
  const port = parentPort;
  const api = await loadApi(workerData as string);
  port.on('message', ({ session, runOptions, binding }: ThreadedRun) => {
    port.postMessage(api.attempt('RunWithBinding', session, runOptions, binding));
  });
}
