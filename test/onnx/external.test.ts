import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readModel } from '../../src/graph/read.js';
import { ExternalFiles } from '../../src/onnx/external.js';
import { externalData, modelAround, tensorProto } from '../support/build.js';
import { failureOf } from '../support/errors.js';

const outside = mkdtempSync(join(tmpdir(), 'lowrank-external-'));
const folder = join(outside, 'model');
mkdirSync(join(folder, 'sub'), { recursive: true });
afterAll(() => {
  rmSync(outside, { recursive: true });
});

const floats = Buffer.from(Float32Array.of(1, 2).buffer);
writeFileSync(join(folder, 'good.bin'), floats);
writeFileSync(join(folder, 'sub', 'good.bin'), floats);
writeFileSync(join(folder, '..good.bin'), floats);
writeFileSync(join(outside, 'secret.bin'), floats);
symlinkSync(join(outside, 'secret.bin'), join(folder, 'link.bin'));
symlinkSync(outside, join(folder, 'linked-folder'));
symlinkSync('good.bin', join(folder, 'inner-link.bin'));
symlinkSync('loop.bin', join(folder, 'loop.bin'));
const isPosix = process.platform !== 'win32';
if (isPosix) execFileSync('mkfifo', [join(folder, 'fifo.bin')]);
if (isPosix) symlinkSync('/dev/zero', join(folder, 'zero.bin'));

/** The weight of a model file whose tensor [2] of float32 points to `record`. */
function weightOf(record: Readonly<Record<string, string>>): number[] {
  const path = join(folder, 'model.onnx');
  writeFileSync(path, modelAround(tensorProto('w', [2], 1, externalData(record))));
  const model = readModel(path);
  try {
    return [...model.graph.value('w')!.tensor!.toFloat32()];
  } finally {
    model.file?.close();
  }
}

describe('a location', () => {
  it.each(['good.bin', './good.bin', 'sub/good.bin', './sub//good.bin', '..good.bin', 'inner-link.bin'])(
    '%s is inside the folder',
    (location) => {
      expect(weightOf({ location, offset: '0', length: '8' })).toEqual([1, 2]);
    },
  );

  it.each([
    ['../secret.bin', /lies outside the model's folder/],
    ['../../../../../../etc/passwd', /lies outside the model's folder/],
    ['sub/../../secret.bin', /lies outside the model's folder/],
    ['sub/../good.bin', /lies outside the model's folder/],
    ['..\\secret.bin', /lies outside the model's folder/],
    ['..', /lies outside the model's folder/],
    ['/etc/passwd', /lies outside the model's folder/],
    ['\\etc\\passwd', /lies outside the model's folder/],
    ['C:\\secret.bin', /lies outside the model's folder/],
    ['c:secret.bin', /lies outside the model's folder/],
    ['link.bin', /lies outside the model's folder/],
    ['linked-folder/secret.bin', /lies outside the model's folder/],
    ['zero.bin', /lies outside the model's folder/],
    ['missing.bin', /external data file 'missing.bin' is missing; .*model.onnx, tensor 'w'; put it into /],
    ['good.bin/x', /is missing/],
    ['loop.bin', /is a symbolic link that leads in a circle/],
    ['sub', /is not a regular file/],
    ['.', /is not a regular file/],
    ['fifo.bin', /is not a regular file/],
    ['', /without a usable location/],
    ['a\0b', /is missing/],
  ])('%j is refused', async (location, message) => {
    const error = await failureOf('EXTERNAL_DATA', () => weightOf({ location, offset: '0', length: '8' }));
    expect(error.message).toMatch(message);
    expect(error.message).toContain("tensor 'w'");
  });
});

it('a location of 100,000 characters is refused, and not shown whole', async () => {
  const error = await failureOf('EXTERNAL_DATA', () => weightOf({ location: 'x'.repeat(100_000) }));
  expect(error.message.length).toBeLessThan(1000);
  expect(error.message.slice(-300)).toMatch(/is missing; .*tensor 'w'; put it into/);
});

describe('offset and length', () => {
  writeFileSync(join(folder, 'padded.bin'), Buffer.concat([Buffer.alloc(5), floats, Buffer.alloc(3)]));
  it('are honoured, and may be left out', () => {
    expect(weightOf({ location: 'padded.bin', offset: '5', length: '8' })).toEqual([1, 2]);
    expect(weightOf({ location: 'padded.bin', offset: '5' })).toEqual([1, 2]);
    expect(weightOf({ location: 'good.bin' })).toEqual([1, 2]);
    expect(weightOf({ checksum: 'x', length: '8', offset: '0', location: 'good.bin', future: 'y' })).toEqual([1, 2]);
  });

  it.each([
    [{ offset: '9' }, 'EXTERNAL_DATA', /has 16 bytes where 17 are needed/],
    [{ offset: '1000000' }, 'EXTERNAL_DATA', /has 16 bytes where 1000008 are needed/],
    [{ offset: '9007199254740991', length: '9007199254740991' }, 'EXTERNAL_DATA', /has 16 bytes/],
    [{ offset: '-1' }, 'EXTERNAL_DATA', /without a usable/],
    [{ offset: '0x5' }, 'EXTERNAL_DATA', /without a usable/],
    [{ offset: '' }, 'EXTERNAL_DATA', /without a usable/],
    [{ offset: '99999999999999999999' }, 'EXTERNAL_DATA', /without a usable/],
    [{ length: '7' }, 'FORMAT', /7 bytes of data where float32 \[2\] needs 8/],
    [{ length: '9' }, 'FORMAT', /9 bytes of data where float32 \[2\] needs 8/],
    [{ length: '0' }, 'FORMAT', /0 bytes of data where float32 \[2\] needs 8/],
  ] as const)('%j is refused', async (record, code, message) => {
    const error = await failureOf(code, () => weightOf({ location: 'padded.bin', ...record }));
    expect(error.message).toMatch(message);
  });

  it('of a model given as bytes need its folder', async () => {
    const bytes = modelAround(tensorProto('w', [2], 1, externalData({ location: 'good.bin' })));
    const model = readModel(bytes, { externalDataFolder: folder });
    expect([...model.graph.value('w')!.tensor!.toFloat32()]).toEqual([1, 2]);
    model.file?.close();
    await failureOf('EXTERNAL_DATA', () => readModel(bytes));
  });

  it('of strings and of unknown types without a length are refused', async () => {
    for (const code of [8, 99]) {
      const bytes = modelAround(tensorProto('w', [2], code, externalData({ location: 'good.bin' })));
      await failureOf('EXTERNAL_DATA', () => readModel(bytes, { externalDataFolder: folder }));
    }
  });
});

describe('many files', () => {
  const count = 300;
  for (let i = 0; i < count; i++) writeFileSync(join(folder, `t${i}.bin`), Buffer.from(Float32Array.of(i, -i).buffer));
  const openFiles = (): number => readdirSync('/proc/self/fd').length;

  it.skipIf(!isPosix)('are read with few of them open, in any order, and closed at the end', async () => {
    const before = openFiles();
    const files = new ExternalFiles(folder, 'model.onnx');
    const ranges = Array.from({ length: count }, (_, i) => {
      const record = new Map([
        ['location', `t${i}.bin`],
        ['length', '8'],
      ]);
      return files.resolve(record, `t${i}`).range;
    });
    for (const step of [1, 7, 299]) {
      for (let k = 0; k < count; k++) {
        const i = (k * step) % count;
        const { source, start, end } = ranges[i]!;
        expect(Buffer.from(source.read(start, end))).toEqual(Buffer.from(Float32Array.of(i, -i).buffer));
      }
    }
    expect(openFiles() - before).toBeLessThanOrEqual(64);
    writeFileSync(join(folder, 't0.bin'), 'other');
    await failureOf('EXTERNAL_DATA', () => ranges[0]!.source.read(0, 8));
    files.close();
    expect(openFiles()).toBe(before);
    await failureOf('INTERNAL', () => ranges[1]!.source.read(0, 8));
  });
});
