import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import type { DataCheckReport, DataPackReport } from '../../src/contracts/data.js';
import { openSource } from '../../src/data/open.js';
import { bytesFormat, epochOf } from '../data/support/batches.js';
import { encoder, jpeg, pattern, shade, tarOf, writeClasses, writeTree } from '../data/support/images.js';
import { expectFailure, lowrank, root, run, temporaryFolder } from '../support/command.js';
import { canMount, mountTmpfs } from '../support/mount.js';
import { hasShared, sharedFolder } from '../support/shared.js';
import { until } from '../support/until.js';

const folder = temporaryFolder();
const classes = await writeClasses(join(folder, 'classes'), ['a', 'b', 'c'], 5);

function check(...words: readonly string[]): {
  readonly code: number | null;
  readonly report: DataCheckReport;
  readonly stderr: string;
} {
  const { code, stdout, stderr } = run('data', 'check', ...words, '--json');
  return { code, report: JSON.parse(stdout) as DataCheckReport, stderr };
}

function pack(...words: readonly string[]): DataPackReport {
  const { code, stdout, stderr } = run('data', 'pack', ...words, '--json', '--quiet');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout) as DataPackReport;
}

function hashes(path: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(path)
      .toSorted((one, other) => (one < other ? -1 : 1))
      .map((name) => [
        name,
        createHash('sha256')
          .update(readFileSync(join(path, name)))
          .digest('hex'),
      ]),
  );
}

describe('lowrank-data check', () => {
  it('counts images, classes and sizes', () => {
    const { code, report } = check(classes);
    expect(code).toBe(0);
    expect(report).toMatchObject({
      schema: 'lowrank.data-check/1',
      path: classes,
      format: 'folder',
      images: 15,
      bad: [],
      warnings: [],
      balance: { largest: 5, smallest: 5, mean: 5, ratio: 1, empty: [] },
      sizes: { width: { smallest: 40, median: 42, largest: 44 }, height: { smallest: 32, median: 33, largest: 34 } },
      formats: { jpeg: 15 },
      kinds: { grey: 0, cmyk: 0, deep: 0 },
    });
    expect(report.classes.map(({ id, images }) => [id, images])).toEqual([
      ['a', 5],
      ['b', 5],
      ['c', 5],
    ]);
    const text = run('data', 'check', classes, '--quiet');
    expect(text).toMatchObject({ code: 0, stderr: '' });
    expect(text.stdout).toContain('every image can be decoded');
  });

  it('names every bad image with its reason, and takes odd ones', async () => {
    const good = await jpeg(pattern(64, 64));
    const frames = Buffer.concat([Buffer.alloc(8 * 8 * 3, 200), Buffer.alloc(8 * 8 * 3, 10)]);
    const path = writeTree(join(folder, 'odd'), {
      'bad/cut.jpg': good.subarray(0, good.length >> 1),
      'bad/empty.jpg': '',
      'bad/huge.png': await sharp({ create: { width: 10_000, height: 10_000, channels: 3, background: '#456' } })
        .png({ compressionLevel: 1 })
        .toBuffer(),
      'bad/page.jpg': '<html>404</html>',
      'good/animated.gif': await sharp(frames, { raw: { width: 8, height: 16, channels: 3, pageHeight: 8 } })
        .gif({ delay: [9, 9] })
        .toBuffer(),
      'good/cmyk.jpg': await encoder(pattern(8, 8)).toColourspace('cmyk').jpeg().toBuffer(),
      'good/deep.png': await encoder(pattern(8, 8)).toColourspace('rgb16').png().toBuffer(),
      'good/grey.png': await encoder(pattern(8, 8)).toColourspace('b-w').png().toBuffer(),
    });
    mkdirSync(join(path, 'nothing'));
    const { code, report, stderr } = check(path);
    expect(code).toBe(1);
    expect(Object.fromEntries(report.bad.map(({ name, reason }) => [name, reason]))).toEqual({
      'bad/cut.jpg': 'premature end of JPEG image',
      'bad/empty.jpg': 'the file is empty',
      'bad/huge.png': '10000x10000 are 100.0 megapixels, the limit is 89.5',
      'bad/page.jpg': expect.stringContaining('no image that can be read (it starts with 3c68746d6c3e3430)'),
    });
    expect(report.kinds).toEqual({ grey: 1, cmyk: 1, deep: 1 });
    expect(report.formats).toEqual({ gif: 1, jpeg: 1, png: 2 });
    expect(report.balance.empty).toEqual(['nothing']);
    expect(stderr).toContain("warning: class folder 'nothing' holds no images");
    expect(run('data', 'check', path).stdout).toContain('bad/empty.jpg: the file is empty');
    expect(check(path, '--max-pixels', '100000000').report.bad).toHaveLength(3);
  });

  it('reads tars as downloaded, and fails where they are cut', () => {
    const inner = tarOf([{ name: 'n01440764_1.JPEG', data: readFileSync(join(classes, 'a/000.jpg')) }]);
    const tar = tarOf([{ name: 'n01440764.tar', data: inner }]);
    const path = join(folder, 'ILSVRC2012_img_train.tar');
    writeFileSync(path, tar);
    expect(check(path).report).toMatchObject({ format: 'tar-of-tars', images: 1, classes: [{ id: 'n01440764' }] });
    writeFileSync(path, tar.subarray(0, tar.length >> 1));
    expectFailure(run('data', 'check', path), 'FORMAT', /the tar is cut.*copy or download it again/);
  });

  it('says in one line what is wrong with what is no data set', () => {
    mkdirSync(join(folder, 'bare'));
    expectFailure(run('data', 'check', join(folder, 'bare')), 'INPUT', /the folder holds no class folders/);
    expectFailure(run('data', 'check', join(folder, 'missing')), 'INPUT', /there is no such file or folder/);
    expectFailure(run('data', 'check', join(root, 'package.json')), 'INPUT', /no data set that can be read/);
    expectFailure(run('data', 'chekc', classes), 'USAGE', /did you mean 'check'/, 2);
    expectFailure(run('data', 'check', classes, '-o', 'x'), 'USAGE', /writes nothing/, 2);
    expectFailure(run('data', 'pack', classes), 'USAGE', /'--output' is missing/, 2);
    writeFileSync(join(folder, 'two.txt'), 'a\nb\n');
    const list = join(folder, 'two.txt');
    expectFailure(run('data', 'check', classes, '--classes', list), 'INPUT', /class 'c' is not in the class list of 2/);
  });

  it.skipIf(process.getuid?.() !== 0)('names a folder that may not be read', async () => {
    const path = await writeClasses(join(folder, 'closed'), ['a', 'b'], 1);
    chmodSync(folder, 0o755);
    chmodSync(join(path, 'b'), 0);
    const { status, stdout, stderr } = spawnSync(process.execPath, [lowrank, 'data', 'check', path], {
      encoding: 'utf8',
      uid: 65_534,
      gid: 65_534,
    });
    expectFailure({ code: status, stdout, stderr }, 'INPUT', /permission to read is denied.*closed\/b/);
  });

  it.skipIf(!hasShared)('finds nothing wrong with real pictures', () => {
    const images = join(sharedFolder, 'data/images');
    const { code, report } = check(join(images, 'cifar10'), '--split', 'test');
    expect([code, report.images, report.classes.length, report.bad]).toEqual([0, 1000, 10, []]);
  });
});

describe('lowrank-data pack', () => {
  it('writes shards that read as the data set did, the same bytes every time', async () => {
    const output = join(folder, 'packed');
    const report = pack(classes, '-o', output, '--shard-size', '4');
    expect(report).toMatchObject({ schema: 'lowrank.data-pack/1', images: 15, classes: 3, path: classes, output });
    expect(report.shards.map(({ images }) => images)).toEqual([4, 4, 4, 3]);
    const written = hashes(output);
    expect(Object.keys(written)).toEqual([
      'classes.txt',
      'pack.json',
      ...[0, 1, 2, 3].map((shard) => `shard-00000${shard}.tar`),
    ]);
    for (const { name, sha256 } of report.shards) expect(written[name]).toBe(sha256);
    const again = join(folder, 'packed-again');
    pack(classes, '-o', again, '--shard-size', '4', '--workers', '1');
    expect(hashes(again)).toEqual(written);

    // Small images are not touched: the same pixels with the same labels, in another order.
    const transform = { kind: 'stretch', width: 40, height: 32 } as const;
    const pixelsOf = async (path: string): Promise<string[]> => {
      const source = await openSource(path);
      expect(source.classes).toEqual(['a', 'b', 'c']);
      const { batches } = await epochOf({ source, transform, format: bytesFormat, batchSize: 1, workers: 2 });
      return batches.map(({ hash, labels }) => `${hash} ${labels.join()}`);
    };
    const [before, after] = [await pixelsOf(classes), await pixelsOf(output)];
    expect(after).not.toEqual(before);
    expect(new Set(after)).toEqual(new Set(before));
    expect(check(output).report).toMatchObject({ format: 'webdataset', images: 15, bad: [] });
  });

  it('reduces large images, as JPEG or as pixels', async () => {
    const path = writeTree(join(folder, 'large'), { 'a/1.jpg': await jpeg(shade(640, 480, 200, 90, 30)) });
    for (const format of ['jpeg', 'ppm']) {
      const output = join(folder, `large-${format}`);
      pack(path, '-o', output, '--size', '128', '--format', format);
      const { report } = check(output);
      expect(report.formats).toEqual({ [format]: 1 });
      expect([report.sizes!.width.median, report.sizes!.height.median]).toEqual([170, 128]);
    }
  });

  it('leaves bad images out up to --max-bad, and names them', async () => {
    const path = await writeClasses(join(folder, 'spoilt'), ['a', 'b'], 3);
    writeTree(path, { 'a/001.jpg': 'no image' });
    const output = join(folder, 'spoilt-packed');
    expectFailure(run('data', 'pack', path, '-o', output), 'INPUT', /1 of 6 images cannot be used.*a\/001\.jpg/);
    const { code, stdout, stderr } = run('data', 'pack', path, '-o', output, '--max-bad', '1', '--json');
    expect(code).toBe(0);
    expect(stderr).toContain('warning: left out: a/001.jpg');
    const report = JSON.parse(stdout) as DataPackReport;
    expect([report.images, report.bad.map(({ name }) => name)]).toEqual([5, ['a/001.jpg']]);
  });

  it('goes on after it was killed, to the same bytes', async () => {
    const path = await writeClasses(join(folder, 'many'), ['a', 'b'], 60);
    const words = [path, '--shard-size', '5'];
    const whole = join(folder, 'whole');
    pack(...words, '-o', whole);
    const output = join(folder, 'killed');
    const child = spawn(process.execPath, [lowrank, 'data', 'pack', ...words, '-o', output, '--quiet']);
    const ended = new Promise((resolve) => child.once('exit', resolve));
    await until(child, output, () => existsSync(join(output, 'shard-000002.tar')));
    child.kill('SIGKILL');
    await ended;
    expect(existsSync(join(output, 'pack.json'))).toBe(false);
    expectFailure(run('data', 'check', output), 'INPUT', /the shards are unfinished.*run the same/);
    expectFailure(run('data', 'pack', path, '-o', output), 'OUTPUT', /unfinished pack of other data or settings/);
    const first = hashes(output)['shard-000000.tar'];
    pack(...words, '-o', output);
    const { 'shard-000000.tar': kept, ...rest } = hashes(output);
    expect(kept).toBe(first);
    expect({ 'shard-000000.tar': kept, ...rest }).toEqual(hashes(whole));
  });

  it('deletes nothing that is not its own', () => {
    const output = writeTree(join(folder, 'mine'), { 'thesis.txt': 'x' });
    expectFailure(run('data', 'pack', classes, '-o', output), 'OUTPUT', /the folder is not empty/);
    pack(classes, '-o', output, '--force');
    expectFailure(run('data', 'pack', classes, '-o', output), 'OUTPUT', /not empty/);
    pack(classes, '-o', output, '--force', '--size', '16');
    expect(readFileSync(join(output, 'thesis.txt'), 'utf8')).toBe('x');
  });

  it.skipIf(!canMount)('leaves no partial shard on a full disk, and goes on when there is space', async () => {
    const path = writeTree(
      join(folder, 'noise'),
      Object.fromEntries(
        await Promise.all(
          Array.from(
            { length: 12 },
            async (_, index) => [`a/${index}.jpg`, await jpeg(pattern(200 + index, 200), 100)] as const,
          ),
        ),
      ),
    );
    const mounted = mountTmpfs('size=600k')!;
    try {
      const output = join(mounted.folder, 'shards');
      const words = ['data', 'pack', path, '-o', output, '--shard-size', '3'];
      expectFailure(run(...words), 'OUTPUT', /no space is left.*free some space and run it again/);
      const left = readdirSync(output);
      expect(left).toContain('pack.unfinished.json');
      expect(left.filter((name) => name.endsWith('.tmp'))).toEqual([]);
      expect(left).not.toContain('pack.json');
      mounted.remount('size=20m');
      pack(path, '-o', output, '--shard-size', '3');
      const whole = join(folder, 'noise-whole');
      pack(path, '-o', whole, '--shard-size', '3');
      expect(hashes(output)).toEqual(hashes(whole));
      rmSync(output, { recursive: true });
    } finally {
      mounted.unmount();
    }
  });
});
