// The program, for one command line after the other: what it prints goes to its real stdout and stderr, each behind a mark.
import { execute } from '../../dist/src/cli/lowrank.js';
import { createOutput, watchStandardStreams } from '../../dist/src/cli/output.js';

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];

async function answer({ words, environment, folder, mark }) {
  for (const name of Object.keys(process.env)) if (!Object.hasOwn(environment, name)) delete process.env[name];
  Object.assign(process.env, environment);
  process.chdir(folder);
  const code = await execute(null, words, createOutput());
  for (const signal of signals) process.removeAllListeners(signal);
  process.stdout.write(mark);
  process.stderr.write(`${code} ${process.memoryUsage.rss()}${mark}`);
}

watchStandardStreams();
process.on('disconnect', () => process.exit());
process.on('message', (request) => void answer(request));
