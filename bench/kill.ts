// Commands that are killed with SIGKILL at random moments and run again: --points 100 --seed 1 --only train.
// Every file must be as if nobody had killed them, and nothing else be left.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { killAtRandom, killSubjects, writeInputs } from '../test/support/kill.js';
import { saveResult } from './support/bench.js';

const { values } = parseArgs({
  options: {
    points: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
  },
});
const [points, seed] = [Number(values.points), Number(values.seed)];
const folder = mkdtempSync(join(tmpdir(), 'lowrank-kill-'));
mkdirSync(join(folder, 'inputs'));
await writeInputs(join(folder, 'inputs'));
const commands = [];
for (const subject of killSubjects) {
  if (values.only !== undefined && subject.name !== values.only) continue;
  const started = performance.now();
  const results = await killAtRandom(subject, { root: process.cwd(), folder, points, seed });
  const failures = results.filter(({ differences }) => differences.length > 0);
  const row = {
    command: subject.name,
    points,
    killed: results.filter(({ isKilled }) => isKilled).length,
    failures,
    seconds: Math.round((performance.now() - started) / 1000),
  };
  commands.push(row);
  process.stdout.write(
    `${subject.name}: ${row.killed} of ${points} killed, ${failures.length} not as uninterrupted, ${row.seconds} s\n`,
  );
  for (const { after, differences } of failures) process.stdout.write(`  ${after}: ${differences.join(', ')}\n`);
}
if (values.only === undefined) saveResult('kill', { seed, commands });
if (commands.every(({ failures }) => failures.length === 0)) rmSync(folder, { recursive: true });
else {
  process.stdout.write(`kept: ${folder}\n`);
  process.exitCode = 1;
}
