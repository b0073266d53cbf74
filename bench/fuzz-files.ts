// Damaged images, tars, parquet and study files, checkpoints: --seconds 600 --seed 1. Which are made, and how they are read in
// a process of their own, is what test/hostile does with a few of them; here until so many bytes have been changed.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { bases } from '../test/hostile/bases.js';
import { supervisor } from '../test/hostile/supervise.js';
import { mutateBytes, randomOf } from '../test/support/mutate.js';
import { saveResult } from './support/bench.js';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '600' },
    seed: { type: 'string', default: '1' },
    bytes: { type: 'string', default: '1000000' },
  },
});
const limitSeconds = 20;
/** The files have some kilobytes: docs/data.md promises four times that and 256 MB. */
const mostBytes = 257 * 2 ** 20;
const ours = new Set(['INTERNAL', 'RUNTIME']);

/** Bytes that are not what they were, where they were: an upper bound of what was changed, and at least one. */
function changedBytes(before: Uint8Array, after: Uint8Array): number {
  let count = Math.abs(before.length - after.length);
  for (let at = 0; at < Math.min(before.length, after.length); at++) if (before[at] !== after[at]) count += 1;
  return Math.max(1, count);
}

const folder = mkdtempSync(join(tmpdir(), 'lowrank-fuzz-'));
const reader = supervisor(192 * 2 ** 20);
const until = Date.now() + 1000 * Number(values.seconds);
const outcomes: Record<string, Record<string, number>> = {};
const failures: { readonly file: string; readonly mutant: number; readonly what: string }[] = [];
let [mutants, bytesChanged, slowestSeconds, peakBytes] = [0, 0, 0, 0];
try {
  const files = await bases();
  for (const { name } of files) mkdirSync(join(folder, name.replace('.', '-')));
  for (let mutant = 0; Date.now() < until && bytesChanged < Number(values.bytes) && failures.length < 20; mutant++) {
    const { reader: kind, name, bytes } = files[mutant % files.length]!;
    const damaged = mutateBytes(bytes, randomOf(Number(values.seed) * 1e9 + mutant));
    const path = join(folder, name.replace('.', '-'), name);
    writeFileSync(path, damaged);
    const fail = (what: string): void => {
      failures.push({ file: name, mutant, what });
      process.stderr.write(`${name}, mutant ${mutant}: ${what}\n`);
    };
    mutants += 1;
    bytesChanged += changedBytes(bytes, damaged);
    try {
      const { code = 'read', message, seconds, extraBytes } = await reader.read(kind, path, limitSeconds);
      outcomes[name] ??= {};
      outcomes[name][code] = (outcomes[name][code] ?? 0) + 1;
      slowestSeconds = Math.max(slowestSeconds, seconds);
      peakBytes = Math.max(peakBytes, extraBytes);
      if (extraBytes > mostBytes) fail(`${Math.round(extraBytes / 2 ** 20)} MiB`);
      if (code !== 'read' && (!/^[A-Z_]+$/.test(code) || ours.has(code))) fail(message);
    } catch (error) {
      fail(String(error));
    }
  }
} finally {
  reader.close();
  rmSync(folder, { recursive: true, force: true });
}
const result = {
  seed: Number(values.seed),
  mutants,
  bytesChanged,
  outcomes,
  slowestSeconds,
  peakExtraMiB: Math.round(peakBytes / 2 ** 20),
  failures,
};
process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
saveResult('fuzz-files', result);
if (failures.length > 0) process.exitCode = 1;
