import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { computedSource, fileSource, memorySource } from '../../src/files/source.js';
import { failureOf } from '../support/errors.js';

const folder = mkdtempSync(join(tmpdir(), 'lowrank-source-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const content = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7919) >> 5));
const path = join(folder, 'content.bin');
writeFileSync(path, content);

describe('a file', () => {
  it('gives any range, in any order, and views that stay valid', () => {
    const source = fileSource(path);
    expect(source.size).toBe(content.length);
    const ranges: [number, number][] = [];
    let state = 1;
    const random = (limit: number): number => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state % limit;
    };
    for (let i = 0; i < 500; i++) {
      const start = random(content.length + 1);
      ranges.push([start, start + random(Math.min(i % 5 === 0 ? 70_000 : 100, content.length - start) + 1)]);
    }
    const views = ranges.map(([start, end]) => source.read(start, end));
    ranges.forEach(([start, end], i) => {
      expect(content.subarray(start, end).equals(views[i]!)).toBe(true);
      const target = Buffer.alloc(end - start);
      source.readInto(target, start);
      expect(content.subarray(start, end).equals(target)).toBe(true);
    });
    source.close();
    source.close();
  });

  it('refuses ranges that are not in it', async () => {
    for (const source of [fileSource(path), memorySource(content, path)]) {
      for (const [start, end] of [
        [-1, 5],
        [5, 4],
        [0, content.length + 1],
      ] as const) {
        await failureOf('FORMAT', () => source.read(start, end));
      }
      await failureOf('FORMAT', () => {
        source.readInto(Buffer.alloc(10), content.length - 5);
      });
      source.close();
    }
  });

  it('that shrinks while it is open is said to have done so', async () => {
    const shrinking = join(folder, 'shrinking.bin');
    writeFileSync(shrinking, content);
    const source = fileSource(shrinking);
    truncateSync(shrinking, 1000);
    const error = await failureOf('INPUT', () => source.read(200_000, 250_000));
    expect(error.message).toMatch(/^the file ends at byte \d+ but had 300000 bytes when it was opened; .*; wait/);
    source.close();
  });

  it('cannot be read after it was closed', async () => {
    const source = fileSource(path);
    source.close();
    await failureOf('INTERNAL', () => source.read(0, 10));
  });
});

describe('what is no file', () => {
  const fifo = join(folder, 'fifo');
  const loop = join(folder, 'loop');
  const hasFifo = process.platform !== 'win32';
  mkdirSync(join(folder, 'directory'));
  symlinkSync(loop, loop);
  if (hasFifo) execFileSync('mkfifo', [fifo]);

  it.each([
    ['a missing file', join(folder, 'nothing'), /^no such file; .*; check the path/],
    ['a file as a folder', join(path, 'x'), /^no such file/],
    ['a directory', join(folder, 'directory'), /^a directory was given where a file is needed/],
    ['a circle of links', loop, /^its symbolic links lead in a circle/],
    ['a path with a zero byte', 'a\0b', /^cannot read: [^\r\n]*$/],
    ['an endless name', 'x'.repeat(100_000), /^cannot read/],
  ])('%s', async (_, bad, message) => {
    const error = await failureOf('INPUT', () => fileSource(bad));
    expect(error.message).toMatch(message);
    expect(error.message.length).toBeLessThan(9000);
  });

  it.skipIf(!hasFifo)('a pipe without a writer does not wait', async () => {
    expect((await failureOf('INPUT', () => fileSource(fifo))).message).toMatch(/^not a regular file/);
  });

  it.skipIf(!hasFifo).each(['/dev/zero', '/dev/null'])('%s', async (device) => {
    expect((await failureOf('INPUT', () => fileSource(device))).message).toMatch(/^not a regular file/);
  });
});

describe('computed bytes', () => {
  it('are computed once for a copy piece by piece, and let go at its end', () => {
    let calls = 0;
    const source = computedSource('test', content.length, () => {
      calls++;
      return content;
    });
    expect(calls).toBe(0);
    for (let at = 0; at < content.length; at += 1000) {
      expect(content.subarray(at, at + 1000).equals(source.read(at, Math.min(at + 1000, content.length)))).toBe(true);
    }
    expect(calls).toBe(1);
    source.readInto(Buffer.alloc(content.length), 0);
    expect(calls).toBe(2);
  });
});
