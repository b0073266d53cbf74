import { beforeAll, describe, expect, it } from 'vitest';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { root, temporaryFolder } from '../support/command.js';
import { killAtRandom, killSubjects, writeInputs } from '../support/kill.js';

const folder = temporaryFolder();
const seed = 20_260;
const points = 6;

beforeAll(async () => {
  mkdirSync(join(folder, 'inputs'));
  await writeInputs(join(folder, 'inputs'));
});

describe(`killed with SIGKILL and run again (seed ${seed})`, () => {
  it.each(killSubjects)('$name: the same bytes, and nothing left behind', { timeout: 240_000 }, async (subject) => {
    const results = await killAtRandom(subject, { root, folder, points, seed });
    expect(results.filter(({ differences }) => differences.length > 0)).toEqual([]);
    expect(results.some(({ isKilled }) => isKilled)).toBe(true);
  });
});
