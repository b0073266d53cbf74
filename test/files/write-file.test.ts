import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { existsSync, lstatSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { memorySource } from '../../src/files/source.js';
import { checkWritable, stageFile, writeFileWhole } from '../../src/files/write-file.js';
import { failureOf } from '../support/errors.js';
import { freshFolderForEach } from '../support/fresh-folder.js';
import { canMount, mountTmpfs } from '../support/mount.js';

let folder = '';
freshFolderForEach((fresh) => (folder = fresh));

const isPosix = process.platform !== 'win32';
const content = Buffer.from(Array.from({ length: 100_000 }, (_, i) => (i * 31) >> 3));

describe('a file is written', () => {
  it('whole, from pieces of every kind and size', () => {
    const source = memorySource(content);
    const chunks = [
      content.subarray(0, 1),
      { source, start: 1, end: 50_000 },
      Buffer.alloc(0),
      { source, start: 50_000, end: 50_000 },
      ...Array.from({ length: 500 }, (_, i) => content.subarray(50_000 + 100 * i, 50_100 + 100 * i)),
      Buffer.alloc(3 << 20, 7),
    ];
    const staged = stageFile(join(folder, 'out'), chunks);
    expect(staged.bytes).toBe(content.length + (3 << 20));
    expect(readdirSync(folder)).toEqual([staged.temporaryPath.slice(folder.length + 1)]);
    staged.commit();
    staged.discard();
    expect(readdirSync(folder)).toEqual(['out']);
    expect(readFileSync(join(folder, 'out')).equals(Buffer.concat([content, Buffer.alloc(3 << 20, 7)]))).toBe(true);
  });

  it('or not at all: discarded, or the input fails in the middle', async () => {
    const path = join(folder, 'out');
    writeFileSync(path, 'before');
    stageFile(path, [content]).discard();
    const broken = { ...memorySource(content), read: (): Uint8Array => memorySource(content).read(0, 1 << 30) };
    await failureOf('FORMAT', () => stageFile(path, [content, { source: broken, start: 0, end: 10 }]));
    expect(readdirSync(folder)).toEqual(['out']);
    expect(readFileSync(path, 'utf8')).toBe('before');
    writeFileWhole(path, 'after ü');
    expect(readFileSync(path, 'utf8')).toBe('after ü');
  });

  it('in the place of no file that came meanwhile, where that was promised', async () => {
    const path = join(folder, 'out');
    const staged = stageFile(path, [content], { replace: false });
    writeFileSync(path, 'came meanwhile');
    expect(
      (
        await failureOf('OUTPUT', () => {
          staged.commit();
        })
      ).message,
    ).toMatch(/^the output exists already/);
    staged.discard();
    expect(readdirSync(folder)).toEqual(['out']);
    expect(readFileSync(path, 'utf8')).toBe('came meanwhile');
  });

  it('under a name of 255 bytes', () => {
    for (const name of ['x'.repeat(255), 'ü'.repeat(127), '😀'.repeat(63)]) {
      checkWritable(join(folder, name), false);
      writeFileWhole(join(folder, name), content);
      expect(readFileSync(join(folder, name)).equals(content)).toBe(true);
    }
  });
});

describe('what cannot be written to', () => {
  it.each([
    ['a missing folder', () => join(folder, 'no', 'out'), /^the folder of the output does not exist; .*; create /],
    [
      'a file as a folder',
      () => {
        writeFileSync(join(folder, 'f'), '');
        return join(folder, 'f', 'out');
      },
      /is not a folder/,
    ],
    ['a folder', () => folder, /^the output path is a folder/],
    ['a new name that ends as a folder', () => `${join(folder, 'new')}/`, /^the output path is a folder/],
    [
      'a file that exists',
      () => {
        writeFileSync(join(folder, 'f'), '');
        return join(folder, 'f');
      },
      /^the output exists already; .*; pass --force/,
    ],
    [
      'a link that leads nowhere',
      () => {
        symlinkSync('nowhere', join(folder, 'l'));
        return join(folder, 'l');
      },
      /^the output exists already/,
    ],
    ['a name that is too long', () => join(folder, 'x'.repeat(256)), /^the name of the output is too long/],
  ])('%s', async (_, make, message) => {
    const path = make();
    const before = readdirSync(folder);
    const error = await failureOf('OUTPUT', () => {
      checkWritable(path, false);
      writeFileWhole(path, content);
    });
    expect(error.message).toMatch(message);
    expect(readdirSync(folder)).toEqual(before);
  });

  it.skipIf(!isPosix)('a device or a pipe, even with force', async () => {
    execFileSync('mkfifo', [join(folder, 'fifo')]);
    symlinkSync('/dev/null', join(folder, 'null'));
    for (const path of ['/dev/null', join(folder, 'null'), join(folder, 'fifo')]) {
      const error = await failureOf('OUTPUT', () => {
        checkWritable(path, true);
      });
      expect(error.message).toMatch(/^the output path is not a regular file/);
    }
    expect(lstatSync('/dev/null').isCharacterDevice()).toBe(true);
  });

  it.skipIf(!isPosix)('a folder of the system that takes no files', async () => {
    await failureOf('OUTPUT', () => {
      checkWritable('/proc/self/out.onnx', false);
    });
    await failureOf('OUTPUT', () => {
      writeFileWhole('/proc/self/out.onnx', content);
    });
  });

  it.skipIf(!canMount)('a read-only file system (needs root)', async () => {
    const mounted = mountTmpfs('size=1m')!;
    try {
      mounted.remount('ro');
      const path = join(mounted.folder, 'out');
      for (const action of [
        () => {
          checkWritable(path, false);
        },
        () => {
          writeFileWhole(path, content);
        },
      ]) {
        expect((await failureOf('OUTPUT', action)).message).toMatch(/^the folder is not writable; .*; choose another/);
      }
    } finally {
      mounted.unmount();
    }
  });

  it.skipIf(!canMount)('a disk that is full in the middle (needs root)', async () => {
    const mounted = mountTmpfs('size=1m')!;
    try {
      const path = join(mounted.folder, 'out');
      writeFileWhole(path, content);
      const large = Array.from({ length: 20 }, () => content);
      expect((await failureOf('OUTPUT', () => stageFile(path, large))).message).toMatch(
        /^no space left to write the file; .*; free some space or choose another folder; nothing was left behind/,
      );
      expect(readdirSync(mounted.folder)).toEqual(['out']);
      expect(readFileSync(path).equals(content)).toBe(true);
    } finally {
      mounted.unmount();
    }
  });
});

describe('temporary files that a killed process left', () => {
  const dead = (): number => spawnSync(process.execPath, ['-e', '']).pid;

  it('go at the next write to the same path; others stay', () => {
    const path = join(folder, 'out.onnx');
    const own = stageFile(path, [content]);
    const name = own.temporaryPath.slice(folder.length + 1);
    const [, machine, start] = /^\.out\.onnx\.([0-9a-f]{6})-\d+-([0-9a-f]{8})-[0-9a-f]{8}\.tmp$/.exec(name)!;
    const pid = dead();
    const stale = [
      `.out.onnx.${machine}-${pid}-00000000.tmp`,
      `.out.onnx.${machine}-${pid}-ffffffff.tmp`,
      `.out.onnx.data.${machine}-${pid}-00000000.tmp`,
      `.out.onnx.12.data.${machine}-${pid}-00000000.tmp`,
      `.out.onnx.${machine}-${pid}-${start}-00000000.tmp`,
      // Of processes that had the number of this one, or of a living one, before it.
      `.out.onnx.${machine}-${process.pid}-00000000-00000000.tmp`,
      ...(process.platform === 'linux' ? [`.out.onnx.${machine}-${process.ppid}-00000000-00000000.tmp`] : []),
    ];
    const others = [
      `.out.onnx.${machine}-${process.ppid}-00000000.tmp`, // of a living process
      `.out.onnx.${machine}-${process.pid}-${start}-00000000.tmp`, // of this process
      `.out.onnx.000000-${pid}-00000000.tmp`, // of another machine
      `.other.onnx.${machine}-${pid}-00000000.tmp`, // of another file
      `.out.onnx.${machine}-${pid}-00000000.tmp.bak`,
      'out.onnx.data',
    ];
    for (const each of [...stale, ...others]) writeFileSync(join(folder, each), '');
    writeFileWhole(path, content);
    expect(readdirSync(folder).sort()).toEqual([...others, name, 'out.onnx'].sort());
    own.discard();
  });
});

/** A whole process runs the built files: Node 20 runs no TypeScript. */
const built = new URL('../../dist/src/files/write-file.js', import.meta.url);

describe.skipIf(!isPosix || !existsSync(fileURLToPath(built)))(
  'a process killed with SIGKILL (needs npm run build)',
  () => {
    // Writes without end, so that it is killed in the middle; says when it has begun.
    const script = `
    import { stageFile, writeFileWhole } from ${JSON.stringify(built.href)};
    const [path, moment] = process.argv.slice(2);
    const piece = Buffer.alloc(1 << 16, 7);
    function* endless() {
      for (let i = 0; ; i++) {
        if (i === 100) process.stdout.write('writing\\n');
        yield piece;
      }
    }
    if (moment === 'middle') stageFile(path, endless());
    stageFile(path, [piece]);
    process.stdout.write('writing\\n');
    setInterval(() => {}, 1000);
  `;

    async function killed(path: string, moment: 'middle' | 'before the rename'): Promise<void> {
      const file = join(folder, '..', 'killed.mjs');
      writeFileSync(file, script);
      await new Promise<void>((resolve, reject) => {
        const child = execFile(process.execPath, [file, path, moment], (_, __, stderr) => {
          if (child.signalCode === 'SIGKILL') resolve();
          else reject(new Error(`ended with ${child.exitCode}: ${stderr}`));
        });
        child.stdout!.once('data', () => child.kill('SIGKILL'));
      });
    }

    it.each(['middle', 'before the rename'] as const)('%s: leaves what was there, and no half file', async (moment) => {
      const path = join(folder, 'out.onnx');
      await killed(path, moment);
      expect(existsSync(path)).toBe(false);
      writeFileSync(path, 'before');
      await killed(path, moment);
      expect(readFileSync(path, 'utf8')).toBe('before');
      const left = readdirSync(folder).filter((name) => name !== 'out.onnx');
      // The second process removed what the first had left.
      expect(left).toHaveLength(1);
      writeFileWhole(path, 'after');
      expect(readdirSync(folder)).toEqual(['out.onnx']);
      expect(readFileSync(path, 'utf8')).toBe('after');
    });
  },
);
