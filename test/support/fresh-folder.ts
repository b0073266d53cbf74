import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach } from 'vitest';

/** Gives each test of the file an empty folder of its own; all are removed behind the last. */
export function freshFolderForEach(use: (folder: string) => void): void {
  const root = mkdtempSync(join(tmpdir(), 'lowrank-test-'));
  let round = 0;
  beforeEach(() => {
    const folder = join(root, String(round++));
    mkdirSync(folder);
    use(folder);
  });
  afterAll(() => {
    rmSync(root, { recursive: true });
  });
}
