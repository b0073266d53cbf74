// A thread that hands command lines to the standing program, and wakes the test, which waits without an event loop.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { workerData } from 'node:worker_threads';

const { port, state } = workerData;
const program = fileURLToPath(new URL('standing-program.js', import.meta.url));
/** Nothing that a command prints. */
const mark = '\0standing\0';
/** Of one that took more, the next command gets another: large models leave memory behind that the allocator keeps. */
const mostBytes = 1e9;

let child;

function start() {
  const started = spawn(process.execPath, [program], { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
  const standing = { process: started, stdout: '', stderr: '', answer: () => {} };
  const forget = () => {
    if (child === standing) child = undefined;
  };
  const hear = () => {
    if (!standing.stdout.endsWith(mark) || !standing.stderr.endsWith(mark)) return;
    const [, stderr, code, bytes] = /^([^]*?)(\d+) (\d+)$/.exec(standing.stderr.slice(0, -mark.length));
    const stdout = standing.stdout.slice(0, -mark.length);
    standing.stdout = standing.stderr = '';
    if (Number(bytes) > mostBytes) {
      forget();
      started.kill('SIGKILL');
    }
    standing.answer({ code: Number(code), stdout, stderr });
  };
  for (const name of ['stdout', 'stderr']) {
    started[name].setEncoding('utf8').on('data', (text) => {
      standing[name] += text;
      hear();
    });
  }
  started.on('exit', forget);
  // What ended the process is the outcome of the command.
  started.on('close', (code) => standing.answer({ code, stdout: standing.stdout, stderr: standing.stderr }));
  return standing;
}

port.on('message', (request) => {
  child ??= start();
  const current = child;
  current.answer = (outcome) => {
    current.answer = () => {};
    port.postMessage(outcome);
    Atomics.store(state, 0, 1);
    Atomics.notify(state, 0);
  };
  current.process.send({ ...request, mark });
});
