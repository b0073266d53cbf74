import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads';
import type { Outcome } from './command.js';

interface Request {
  readonly words: readonly string[];
  readonly environment: NodeJS.ProcessEnv;
  readonly folder: string;
}

type Call = (request: Request) => Outcome;

let calling: Call | undefined;

/** The outcome of one command line in the standing program, which is started where there is none. Blocks until it has come. */
export function callStanding(request: Request): Outcome {
  calling ??= startCaller();
  return calling(request);
}

function startCaller(): Call {
  const state = new Int32Array(new SharedArrayBuffer(4));
  const { port1: here, port2: port } = new MessageChannel();
  const options = { workerData: { port, state }, transferList: [port], execArgv: [] };
  new Worker(new URL('standing-caller.js', import.meta.url), options).unref();
  here.unref();
  return (request) => {
    Atomics.store(state, 0, 0);
    here.postMessage(request, []);
    Atomics.wait(state, 0, 0);
    return receiveMessageOnPort(here)!.message as Outcome;
  };
}
