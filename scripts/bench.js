// Builds and runs one benchmark: npm run bench -- convert [options]. Without a name it lists them.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';

const [name, ...options] = process.argv.slice(2);
const names = readdirSync('bench')
  .filter((file) => file.endsWith('.ts'))
  .map((file) => file.slice(0, -3));
if (name === undefined || !names.includes(name)) {
  process.stdout.write(`benchmarks: ${names.join(', ')}\n`);
  process.exit(name === undefined ? 0 : 2);
}
const run = (command, args) => {
  const { status } = spawnSync(command, args, { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
};
run(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.bench.json']);
run(process.execPath, [`dist/bench/${name}.js`, ...options]);
