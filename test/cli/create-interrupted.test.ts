import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { lowrank } from '../support/command.js';

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
      let sent = 0;
      const poll = setInterval(() => {
        if (sent > 0 || readdirSync(folder).length === 0) return;
        sent = performance.now();
        child.kill(signal);
      }, 5);
      const code = await new Promise((resolve) => {
        child.on('exit', (status) => resolve(status));
      });
      clearInterval(poll);
      expect(sent).toBeGreaterThan(0);
      expect(code, complaint).toBe(130);
      expect(complaint).toContain('error[ABORTED]: interrupted');
      expect(readdirSync(folder)).toEqual([]);
      // A piece takes tens of milliseconds; the whole file takes more than two seconds.
      expect(performance.now() - sent).toBeLessThan(1500);
    },
    60_000,
  );
});
