import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { createTensorBoardWriter, epochScalars, settingsMarkdown, startScalars } from '../../src/report/tensorboard.js';
import { crc32c } from '../../src/report/tensorboard/crc32c.js';
import { tfRecord } from '../../src/report/tensorboard/record.js';
import { canMount, mountTmpfs } from '../support/mount.js';
import { trainReport } from './support/train-report.js';

/** A second reader, written against the format alone: fields by number, in order. */
interface Field {
  readonly number: number;
  readonly bytes: Buffer;
  readonly value: number;
}

function parse(bytes: Buffer): Field[] {
  const fields: Field[] = [];
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++];
      if (byte === undefined) throw new Error('cut short');
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const number = tag >> 3;
    const type = tag & 7;
    if (type === 0) fields.push({ number, bytes: Buffer.alloc(0), value: varint() });
    else if (type === 1)
      fields.push({ number, bytes: bytes.subarray(at, at + 8), value: bytes.readDoubleLE((at += 8) - 8) });
    else if (type === 5)
      fields.push({ number, bytes: bytes.subarray(at, at + 4), value: bytes.readFloatLE((at += 4) - 4) });
    else if (type === 2) {
      const length = varint();
      fields.push({ number, bytes: bytes.subarray(at, (at += length)), value: length });
    } else throw new Error(`wire type ${type}`);
  }
  return fields;
}

const get = (fields: readonly Field[], number: number): Field | undefined =>
  fields.find((field) => field.number === number);

/** CRC-32C bit by bit, unlike the table that is tested. */
function slowCrc(bytes: Uint8Array): number {
  let remainder = 0xffffffffn;
  for (const byte of bytes) {
    remainder ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) remainder = (remainder >> 1n) ^ ((remainder & 1n) * 0x82f63b78n);
  }
  return Number(remainder ^ 0xffffffffn);
}

function masked(bytes: Uint8Array): number {
  const crc = BigInt(slowCrc(bytes));
  return Number((((crc >> 15n) | (crc << 17n)) + 0xa282ead8n) & 0xffffffffn);
}

/** The events of a file, its checksums checked. */
function events(path: string): Field[][] {
  const file = readFileSync(path);
  const list: Field[][] = [];
  for (let at = 0; at < file.length;) {
    const length = Number(file.readBigUInt64LE(at));
    expect(file.readUInt32LE(at + 8)).toBe(masked(file.subarray(at, at + 8)));
    const data = file.subarray(at + 12, at + 12 + length);
    expect(file.readUInt32LE(at + 12 + length)).toBe(masked(data));
    list.push(parse(data));
    at += length + 16;
  }
  return list;
}

/** Tag and value of the scalars of an event. */
function scalarsOf(event: readonly Field[]): Record<string, number | undefined> {
  const values = parse(get(event, 5)!.bytes).map(({ bytes }) => parse(bytes));
  return Object.fromEntries(values.map((value) => [get(value, 1)!.bytes.toString(), get(value, 2)?.value]));
}

const folder = mkdtempSync(join(tmpdir(), 'lowrank-events-'));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe('crc32c', () => {
  // RFC 3720, B.4; the last is the check value of the CRC catalogue.
  it.each([
    [new Uint8Array(32), 0x8a9136aa],
    [new Uint8Array(32).fill(0xff), 0x62a8ab43],
    [Uint8Array.from({ length: 32 }, (_, index) => index), 0x46dd794e],
    [Uint8Array.from({ length: 32 }, (_, index) => 31 - index), 0x113fdb5c],
    [
      Buffer.from(
        `01c00000${'00'.repeat(12)}140000000000040000000014000000182800000000000000${'02'.padEnd(16, '0')}`,
        'hex',
      ),
      0xd9963a56,
    ],
    [Buffer.from('123456789'), 0xe3069283],
    [new Uint8Array(), 0],
  ])('vector %#', (bytes, expected) => {
    expect(crc32c(bytes)).toBe(expected);
    expect(slowCrc(bytes)).toBe(expected);
  });
});

describe('tfRecord', () => {
  it('has the layout of TFRecord', () => {
    const record = Buffer.from(tfRecord(Buffer.from('abc')));
    expect(record.length).toBe(19);
    expect(record.subarray(0, 8).toString('hex')).toBe('0300000000000000');
    expect(record.subarray(12, 15).toString()).toBe('abc');
    expect(record.readUInt32LE(8)).toBe(masked(record.subarray(0, 8)));
    expect(record.readUInt32LE(15)).toBe(masked(Buffer.from('abc')));
  });
});

describe('createTensorBoardWriter', () => {
  let time = 1_700_000_000_000;
  const now = (): number => (time += 250);

  it('begins with the version and holds every call at once', () => {
    const writer = createTensorBoardWriter(join(folder, 'new', 'run'), { now });
    expect(basename(writer.path)).toMatch(/^events\.out\.tfevents\.\d{10}\.\w+\.\d+\.\d+$/);
    expect(events(writer.path).map((event) => get(event, 3)?.bytes.toString())).toEqual(['brain.Event:2']);
    writer.scalars(7, { 'loss/train': 0.5, 'top1/val': null, missing: undefined, bad: NaN });
    const event = events(writer.path)[1]!;
    expect(get(event, 1)!.value).toBe(time / 1000);
    expect(get(event, 2)!.value).toBe(7);
    expect(scalarsOf(event)).toEqual({ 'loss/train': 0.5, bad: NaN });
    writer.scalars(8, { nothing: null });
    expect(events(writer.path)).toHaveLength(2);
    writer.close();
    writer.close();
    expect(() => {
      writer.scalars(9, { a: 1 });
    }).toThrow(/closed/);
  });

  it('keeps steps beyond 32 bits', () => {
    const writer = createTensorBoardWriter(folder, { now });
    writer.scalars(2 ** 40 + 1, { a: 1 });
    writer.close();
    expect(get(events(writer.path)[1]!, 2)!.value).toBe(2 ** 40 + 1);
  });

  it('begins a file of its own where a run is resumed, behind a restart mark at its step', () => {
    const run = join(folder, 'resumed');
    const first = createTensorBoardWriter(run, { now });
    first.scalars(100, { loss: 1 });
    first.close();
    const before = readFileSync(first.path);
    const second = createTensorBoardWriter(run, { now, resumedAt: 90 });
    second.scalars(100, { loss: 2 });
    second.close();
    expect(readdirSync(run).toSorted()).toEqual([basename(first.path), basename(second.path)]);
    expect(readFileSync(first.path)).toEqual(before);
    const [, restart, point] = events(second.path);
    // TensorBoard drops what lies at the mark's step or beyond: a point at 90 itself stays.
    expect(get(restart!, 2)!.value).toBe(91);
    expect(parse(get(restart!, 7)!.bytes)).toMatchObject([{ number: 1, value: 1 }]);
    expect(scalarsOf(point!)).toEqual({ loss: 2 });
  });

  it('writes texts as string tensors of the text plugin', () => {
    const writer = createTensorBoardWriter(folder, { now });
    writer.text(0, 'settings', settingsMarkdown({ lr: 0.1, data: 'a|b', none: null }));
    writer.close();
    const value = parse(parse(get(events(writer.path)[1]!, 5)!.bytes)[0]!.bytes);
    const tensor = parse(get(value, 8)!.bytes);
    expect(get(tensor, 1)!.value).toBe(7);
    expect(get(tensor, 8)!.bytes.toString()).toBe(
      '| setting | value |\n| --- | --- |\n| lr | 0.1 |\n| data | a\\|b |\n| none | null |',
    );
    expect(parse(parse(get(value, 9)!.bytes)[0]!.bytes)[0]!.bytes.toString()).toBe('text');
  });

  it('writes histograms whose buckets hold every finite value once', () => {
    const writer = createTensorBoardWriter(folder, { now });
    const values = Float32Array.from({ length: 999 }, (_, index) => Math.sin(index));
    writer.histogram(1, 'w', [...values, NaN, Infinity]);
    writer.histogram(1, 'constant', [2, 2, 2]);
    writer.histogram(1, 'empty', []);
    writer.close();
    const [all, constant, empty] = events(writer.path)
      .slice(1)
      .map((event) => parse(get(parse(parse(get(event, 5)!.bytes)[0]!.bytes), 5)!.bytes));
    const doubles = ({ bytes }: Field): number[] => [...new Float64Array(Uint8Array.from(bytes).buffer)];
    const limits = doubles(get(all!, 6)!);
    const counts = doubles(get(all!, 7)!);
    expect(all!.slice(0, 3).map(({ value }) => value)).toEqual([Math.min(...values), Math.max(...values), 999]);
    expect(limits).toHaveLength(30);
    expect(limits.at(-1)).toBe(Math.max(...values));
    // Count again: a value belongs to the first bucket whose limit lies above it. Values that lie on a limit may go either way.
    const expected = limits.map(
      (limit, index) =>
        values.filter((x) => (index === 0 || x >= limits[index - 1]!) && (x < limit || index === 29)).length,
    );
    expect(counts.reduce((sum, value) => sum + value, 0)).toBe(999);
    for (const [index, count] of counts.entries()) expect(Math.abs(count - expected[index]!)).toBeLessThanOrEqual(1);
    expect(doubles(get(constant!, 7)!).reduce((sum, value) => sum + value, 0)).toBe(3);
    expect(get(empty!, 3)!.value).toBe(0);
  });

  it('gives every field of an epoch a tag', () => {
    const epoch = trainReport().epochs[0]!;
    const { seconds: _, steps: __, ...rest } = epoch;
    expect(new Set(Object.values(epochScalars(epoch)))).toEqual(new Set(Object.values(rest)));
    expect(Object.keys(epochScalars(epoch))).toHaveLength(Object.keys(rest).length);
  });

  it('has the points of epoch 0 under the same tags', () => {
    const { start, epochs } = trainReport({ epochs: 1 });
    expect(startScalars(start!)).toEqual({ 'loss/val': 2.31, 'top1/val': 0.1, 'top5/val': 0.52, epoch: 0 });
    for (const tag of Object.keys(startScalars(start!))) expect(epochScalars(epochs[0]!)).toHaveProperty([tag]);
  });

  it('says where it cannot write', () => {
    const file = join(folder, 'file');
    writeFileSync(file, '');
    expect(() => createTensorBoardWriter(join(file, 'run'))).toThrow(/cannot write TensorBoard events.*--tensorboard/);
    expect(dirname(file)).toBe(folder);
  });

  it.skipIf(!canMount)('says so where the disk is full, and keeps what was written', () => {
    const mounted = mountTmpfs('size=64k')!;
    try {
      writeFileSync(join(mounted.folder, 'filler'), Buffer.alloc(56_000));
      const writer = createTensorBoardWriter(mounted.folder, { now });
      expect(() => {
        for (let step = 0; step < 1000; step++) writer.histogram(step, 'w', [1, 2, 3]);
      }).toThrow(/cannot write TensorBoard events: ENOSPC.*free space/);
      // No torn record stays at the end: what follows once there is room is read too.
      const whole = events(writer.path);
      expect(whole.length).toBeGreaterThan(10);
      rmSync(join(mounted.folder, 'filler'));
      writer.scalars(5000, { loss: 1 });
      writer.close();
      expect(events(writer.path)).toHaveLength(whole.length + 1);
    } finally {
      mounted.unmount();
    }
  });
});
