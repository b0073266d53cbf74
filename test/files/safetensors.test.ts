import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LowrankError } from '../../src/errors.js';
import { encodeSafetensors, readSafetensors, type SafetensorsEntry } from '../../src/files/safetensors.js';
import { failureOf } from '../support/errors.js';
import { temporaryFolder } from '../support/command.js';

const folder = temporaryFolder();
let files = 0;
function fileOf(bytes: Uint8Array): string {
  const path = join(folder, `${files++}.safetensors`);
  writeFileSync(path, bytes);
  return path;
}

const tensors = new Map<string, SafetensorsEntry>([
  ['weights', { shape: [2, 3], data: Float32Array.of(1, -2, 3.5, 0, 5, 6) }],
  ['nothing', { shape: [0], data: new Float32Array(0) }],
  ['labels', { shape: [2], data: BigInt64Array.of(7n, -1n) }],
]);
const whole = encodeSafetensors(tensors, { step: '3' });
const withHeader = (header: string, data = Buffer.alloc(0)): Buffer => {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, Buffer.from(header), data]);
};

describe('safetensors', () => {
  it('reads what it wrote', () => {
    const { tensors: read, metadata } = readSafetensors(fileOf(whole));
    expect([...read]).toEqual([...tensors]);
    expect(metadata).toEqual({ step: '3' });
  });

  it('begins its data at a multiple of eight bytes, as the format wants', () => {
    expect(Number(whole.readBigUInt64LE()) % 8).toBe(0);
  });

  it('reads float16 and bfloat16 as the numbers that they are', () => {
    const data = Buffer.from(Uint16Array.of(0x3c00, 0x7bff, 0xc000, 0x7f7f).buffer);
    const header =
      '{"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},"b":{"dtype":"BF16","shape":[2],"data_offsets":[4,8]}}';
    const read = readSafetensors(fileOf(withHeader(header, data))).tensors;
    expect(read.get('a')).toEqual({ shape: [2], data: Float32Array.of(1, 65504) });
    // 0x7f7f are the upper bits of the largest finite ones.
    expect(read.get('b')!.data[0]).toBe(-2);
    expect(read.get('b')!.data[1]).toBe(new Float32Array(Uint32Array.of(0x7f7f0000).buffer)[0]);
  });

  it('names the types that it does not read', async () => {
    const path = fileOf(withHeader('{"a":{"dtype":"I16","shape":[1],"data_offsets":[0,2]}}', Buffer.alloc(2)));
    const failure = await failureOf('UNSUPPORTED', () => readSafetensors(path));
    expect(failure.fact).toBe("tensor 'a' is of type I16");
  });

  it.each([
    ['nothing', Buffer.alloc(0)],
    ['half a float16', withHeader('{"a":{"dtype":"F16","shape":[1],"data_offsets":[0,1]}}', Buffer.alloc(1))],
    ['less than a length', Buffer.alloc(7)],
    ['a length beyond the file', Buffer.alloc(8, 0xff)],
    ['a header that is no JSON', withHeader('{"a":')],
    ['a header that is a list', withHeader('[]')],
    ['a tensor without a type', withHeader('{"a":{"shape":[1],"data_offsets":[0,4]}}', Buffer.alloc(4))],
    ['an unknown type', withHeader('{"a":{"dtype":"F8","shape":[1],"data_offsets":[0,1]}}', Buffer.alloc(4))],
    ['offsets beyond the data', withHeader('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', Buffer.alloc(4))],
    [
      'offsets that are not the shape',
      withHeader('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}', Buffer.alloc(8)),
    ],
    [
      'offsets in the wrong order',
      withHeader('{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}', Buffer.alloc(8)),
    ],
    [
      'tensors that overlap',
      withHeader(
        '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
        Buffer.alloc(8),
      ),
    ],
    ['bytes between tensors', withHeader('{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}', Buffer.alloc(8))],
    ['bytes behind them', withHeader('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', Buffer.alloc(8))],
    [
      'a tensor that is there twice',
      withHeader(
        '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"\\u0061":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        Buffer.alloc(4),
      ),
    ],
    [
      'a type of the language',
      withHeader('{"a":{"dtype":"toString","shape":[1],"data_offsets":[0,4]}}', Buffer.alloc(4)),
    ],
    ['metadata that are no texts', withHeader('{"__metadata__":{"a":1}}')],
    ['a name of megabytes, unended', withHeader(`{"${'a'.repeat(15e6)}":1`)],
    ['a name of megabytes', withHeader(`{"${'a\\"'.repeat(5e6)}":1}`)],
    ['a header of gigabytes', Buffer.concat([Buffer.from([0, 0, 0, 0x80, 0, 0, 0, 0]), Buffer.alloc(100)])],
    ['a negative dimension', withHeader('{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}', Buffer.alloc(4))],
  ])('refuses %s', async (_, bytes) => {
    const path = fileOf(bytes);
    const failure = await failureOf('FORMAT', () => readSafetensors(path));
    expect(failure.place).toContain(path);
    expect(failure.remedy).toBeDefined();
  });

  it('refuses every cut file', async () => {
    for (let length = 0; length < whole.length; length++) {
      await failureOf('FORMAT', () => readSafetensors(fileOf(whole.subarray(0, length))));
    }
  });

  it('names a file that is not there', async () => {
    await failureOf('INPUT', () => readSafetensors(join(folder, 'missing.safetensors')));
  });

  it('reads damaged bytes or refuses them, and nothing else', () => {
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), (at, value) => {
        const damaged = Buffer.from(whole);
        damaged[at] = value;
        try {
          readSafetensors(fileOf(damaged));
        } catch (error) {
          if (!(error instanceof LowrankError) || error.code !== 'FORMAT') throw error;
        }
      }),
      { seed: 1, numRuns: 300 },
    );
  });
});
