import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../support/command.js';
import { mutateBytes, randomOf } from '../support/mutate.js';
import { bases } from './bases.js';
import { supervisor } from './supervise.js';

const folder = temporaryFolder();
const reader = supervisor(256 * 2 ** 20);
afterAll(() => {
  reader.close();
});

/** Seeds are numbers from 0, so that a failure names the one to look at. */
const mutantsEach = Number(process.env['LOWRANK_FUZZ'] ?? 100);
/** What a bug of the program would be, and not of the file. */
const ours = new Set<string>(['INTERNAL', 'RUNTIME']);

describe('damaged files are read, or refused in one line', async () => {
  const all = await bases();
  it.each(all)('$name', async ({ reader: kind, name, bytes }) => {
    const home = join(folder, name.replace('.', '-'));
    mkdirSync(home);
    const path = join(home, name);
    let refused = 0;
    for (let seed = 0; seed < mutantsEach; seed++) {
      writeFileSync(path, mutateBytes(bytes, randomOf(seed)));
      const { code, message } = await reader.read(kind, path, 20);
      if (code !== undefined) refused += 1;
      expect({ seed, code, message }).toSatisfy(
        () => code === undefined || (/^[A-Z_]+$/.test(code) && !ours.has(code)),
      );
      // oxlint-disable-next-line no-control-regex -- control characters are what must not be there
      expect({ seed, message }).toSatisfy(() => !/[\u0000-\u001f\u007f]/.test(message));
    }
    expect(refused).toBeGreaterThan(0);
  });
});
