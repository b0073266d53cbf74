import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { lowrank } from '../support/command.js';
import { until } from '../support/until.js';

const folder = mkdtempSync(join(tmpdir(), 'lowrank-create-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

describe('lowrank create, interrupted', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)(
    '%s while it writes: stops at once with 130, nothing is left',
    async (signal) => {
      // 553 MB of fresh numbers: some seconds of work.
      const child = spawn(process.execPath, [lowrank, 'create', 'vgg16', '-o', join(folder, 'vgg16.onnx')], {
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      let complaint = '';
      child.stderr.on('data', (text: Buffer) => (complaint += text.toString()));
      const ended = once(child, 'close');
      await until(child, folder, () => readdirSync(folder).length > 0);
      const sent = performance.now();
      child.kill(signal);
      const [code] = (await ended) as [number | null];
      expect(code, complaint).toBe(130);
      expect(complaint).toContain('error[ABORTED]: interrupted');
      expect(readdirSync(folder)).toEqual([]);
      // A piece takes tens of milliseconds; the whole file takes more than two seconds.
      expect(performance.now() - sent).toBeLessThan(1500);
    },
    60_000,
  );
});
