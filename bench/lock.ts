// Eight processes that try for one lock at once, free or left by a dead process: --rounds 10000. One must get it each time.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { contend } from '../test/files/support/contend.js';
import { saveResult } from './support/bench.js';

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '10000' } } });
const rounds = Number(values.rounds);
const contenders = 8;
const folder = mkdtempSync(join(tmpdir(), 'lowrank-lock-'));
const started = performance.now();
const { winners, left } = await contend(join(folder, 'out.lock'), contenders, rounds, process.cwd());
rmSync(folder, { recursive: true });
const odd = winners.filter((count) => count !== 1).length;
const seconds = Math.round((performance.now() - started) / 1000);
process.stdout.write(
  `${rounds} rounds of ${contenders}: ${odd} without exactly one winner, ${left.length} files left, ${seconds} s\n`,
);
saveResult('lock', { rounds, contenders, roundsWithoutOneWinner: odd, filesLeft: left.length, seconds });
if (odd > 0 || left.length > 0) process.exitCode = 1;
