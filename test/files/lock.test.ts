import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { takeLock } from '../../src/files/lock.js';
import { failureOf } from '../support/errors.js';
import { freshFolderForEach } from '../support/fresh-folder.js';
import { contend } from './support/contend.js';

let folder = '';
freshFolderForEach((fresh) => (folder = fresh));

const isLinux = process.platform === 'linux';
/** The number of a process that has ended. */
const gone = (): number => spawnSync('true').pid;
const minutesAgo = (path: string, minutes: number): void => {
  const then = new Date(Date.now() - minutes * 60_000);
  utimesSync(path, then, then);
};

/** A living process of which nothing more is known. */
async function living<Result>(use: (pid: number) => Promise<Result>): Promise<Result> {
  const child: ChildProcess = spawn('sleep', ['60']);
  await once(child, 'spawn');
  try {
    return await use(child.pid!);
  } finally {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
}

describe('a lock', () => {
  const path = (): string => join(folder, 'out.lock');
  const content = (): Record<string, unknown> => JSON.parse(readFileSync(path(), 'utf8')) as Record<string, unknown>;
  const put = (value: unknown): void =>
    writeFileSync(path(), typeof value === 'string' ? value : JSON.stringify(value));
  const isTaken = (): void => {
    const lock = takeLock(path());
    expect(content()).toMatchObject({ process: process.pid, host: hostname() });
    expect(readdirSync(folder)).toEqual(['out.lock']);
    lock.release();
    expect(readdirSync(folder)).toEqual([]);
  };
  const isRefused = async (words: RegExp): Promise<void> => {
    const before = readFileSync(path());
    expect((await failureOf('OUTPUT', () => takeLock(path()))).message).toMatch(words);
    expect(readFileSync(path()).equals(before)).toBe(true);
    expect(readdirSync(folder)).toEqual(['out.lock']);
  };

  it('is held until it is released, in this process too', async () => {
    const lock = takeLock(path());
    await isRefused(new RegExp(`^process ${process.pid} on .* is training into this output`));
    lock.release();
    lock.release();
    isTaken();
  });

  it('of a process that is gone is taken over, of any version', () => {
    put({ process: gone(), host: hostname() });
    isTaken();
    put({ process: gone(), host: hostname(), start: '00000000', token: '0123456789abcdef' });
    isTaken();
  });

  it('of a process that lives is not, whatever its age', () =>
    living(async (pid) => {
      put({ process: pid, host: hostname() });
      await isRefused(new RegExp(`^process ${pid} on `));
    }));

  it.skipIf(!isLinux)('of a number that another process has now is taken over: of ours, of another', () =>
    living(async (pid) => {
      for (const process of [pid, globalThis.process.pid]) {
        put({ process, host: hostname(), start: '00000000' });
        isTaken();
        put({ process, host: hostname() });
        minutesAgo(path(), 1e6);
        isTaken();
      }
      await Promise.resolve();
    }),
  );

  it.skipIf(!isLinux)('of another host or container counts as long as its heart beats', async () => {
    for (const holder of [
      { process: gone(), host: 'elsewhere' },
      { process: gone(), host: hostname(), space: 'pid:[1]' },
    ]) {
      put(holder);
      await isRefused(/^process \d+ on /);
      minutesAgo(path(), 4);
      await isRefused(/^process \d+ on /);
      minutesAgo(path(), 6);
      isTaken();
    }
  });

  it.each(['', '{', '{"process": 1', 'null', '[]', '{"process": "x"}', '\0'.repeat(100)])(
    'that is empty or torn is taken over: %j',
    (text) => {
      put(text);
      minutesAgo(path(), 1);
      isTaken();
    },
  );

  it('that is empty is waited for: its writer may be at work', () => {
    put('');
    const started = performance.now();
    isTaken();
    expect(performance.now() - started).toBeGreaterThan(1500);
  });

  it('is taken from one who died while he took it over', () => {
    put({ process: gone(), host: hostname(), token: '0123456789abcdef' });
    const next = { process: gone(), host: hostname(), token: 'fedcba9876543210' };
    writeFileSync(`${path()}.0123456789abcdef`, JSON.stringify(next));
    isTaken();
  });

  it('is left alone by one who was taken for dead', () => {
    const slow = takeLock(path());
    put({ process: gone(), host: hostname() });
    const lock = takeLock(path());
    slow.release();
    expect(readdirSync(folder)).toEqual(['out.lock']);
    lock.release();
  });

  it.skipIf(process.platform === 'win32')('is a regular file or an error, not a wait', async () => {
    execFileSync('mkfifo', [join(folder, 'fifo')]);
    symlinkSync('nowhere', join(folder, 'link'));
    mkdirSync(join(folder, 'sub'));
    for (const name of ['fifo', 'link', 'sub', 'missing/x']) {
      const { message } = await failureOf('OUTPUT', () => takeLock(join(folder, name)));
      expect(message).toMatch(/^the lock cannot be taken: /);
    }
    expect(readdirSync(folder).sort()).toEqual(['fifo', 'link', 'sub']);
  });

  it('that a dead process left has one successor, of eight that try at once', { timeout: 60_000 }, async () => {
    const rounds = 100;
    const { winners, left } = await contend(path(), 8, rounds, fileURLToPath(new URL('../..', import.meta.url)));
    expect(winners).toEqual(Array.from({ length: rounds }, () => 1));
    expect(left).toEqual([]);
  });
});
