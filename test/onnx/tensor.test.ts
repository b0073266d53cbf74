import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { dataTypeInfo } from '../../src/onnx/data-type.js';
import { ExternalFiles } from '../../src/onnx/external.js';
import { bfloat16ToNumber, float16ToNumber } from '../../src/float16.js';
import { fileSource, memorySource, type ByteRange } from '../../src/files/source.js';
import { Tensor, type ExternalResolver } from '../../src/onnx/tensor.js';
import { gather } from '../../src/files/chunk.js';
import {
  doubleField,
  externalData,
  field,
  flat,
  floatField,
  numberField,
  rawData,
  tag,
  tensorProto,
  vint,
} from '../support/build.js';
import { failureOf } from '../support/errors.js';

const folder = mkdtempSync(join(tmpdir(), 'lowrank-tensor-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const noFiles: ExternalResolver = () => {
  throw new Error('no external data here');
};

function rangeOf(bytes: Uint8Array): ByteRange {
  return { source: memorySource(bytes, 'test'), start: 0, end: bytes.length };
}

const read = (bytes: Uint8Array, resolve: ExternalResolver = noFiles): Tensor => Tensor.read(rangeOf(bytes), resolve);

/** Bytes that repeat with no small period, so that a mistake of place shows. */
function pattern(length: number, seed = 1): Buffer {
  let state = seed;
  return Buffer.from(
    Array.from({ length }, () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state >>> 24;
    }),
  );
}

type Elements = readonly (number | bigint)[];

/** How the elements of a type are written into its typed field, from raw bytes (onnx.proto, TensorProto). */
const typed: Record<string, { field: number; split: (raw: Buffer) => Elements; form: 'varint' | 'float' | 'double' }> =
  {
    float32: { field: 4, form: 'float', split: (raw) => [...new Float32Array(raw.buffer.slice(0))] },
    complex64: { field: 4, form: 'float', split: (raw) => [...new Float32Array(raw.buffer.slice(0))] },
    float64: { field: 10, form: 'double', split: (raw) => [...new Float64Array(raw.buffer.slice(0))] },
    complex128: { field: 10, form: 'double', split: (raw) => [...new Float64Array(raw.buffer.slice(0))] },
    int64: { field: 7, form: 'varint', split: (raw) => [...new BigInt64Array(raw.buffer.slice(0))] },
    uint64: { field: 11, form: 'varint', split: (raw) => [...new BigUint64Array(raw.buffer.slice(0))] },
    uint32: { field: 11, form: 'varint', split: (raw) => [...new Uint32Array(raw.buffer.slice(0))] },
    int32: { field: 5, form: 'varint', split: (raw) => [...new Int32Array(raw.buffer.slice(0))] },
    int16: { field: 5, form: 'varint', split: (raw) => [...new Int16Array(raw.buffer.slice(0))] },
    int8: { field: 5, form: 'varint', split: (raw) => [...new Int8Array(raw.buffer.slice(0))] },
    ...Object.fromEntries(
      ['uint16', 'float16', 'bfloat16'].map((name) => [
        name,
        { field: 5, form: 'varint', split: (raw: Buffer) => [...new Uint16Array(raw.buffer.slice(0))] } as const,
      ]),
    ),
    ...Object.fromEntries(
      'uint8 bool float8e4m3fn float8e4m3fnuz float8e5m2 float8e5m2fnuz float8e8m0 uint4 int4 float4e2m1 uint2 int2'
        .split(' ')
        .map((name) => [name, { field: 5, form: 'varint', split: (raw: Buffer) => [...raw] } as const]),
    ),
  };

const codes = Object.keys(typed).map((name) => {
  const code = Array.from({ length: 27 }, (_, i) => i).find((i) => dataTypeInfo(i)?.name === name);
  expect(code).toBeDefined();
  return [name, code!] as const;
});

/** Raw bytes of `count` elements in an ArrayBuffer of exactly that size. NaNs lose their payload in JavaScript arrays. */
function rawOf(name: string, count: number): Buffer {
  const bits = dataTypeInfo(codes.find(([known]) => known === name)![1])!.bits;
  const raw = Buffer.from(new Uint8Array(pattern(Math.ceil((count * bits) / 8))).buffer);
  if (name === 'bool') raw.forEach((byte, i) => (raw[i] = byte & 1));
  return raw;
}

function single(number: number, form: 'varint' | 'float' | 'double', value: number | bigint): Buffer {
  if (form === 'varint') return numberField(number, value);
  return form === 'float' ? floatField(number, Number(value)) : doubleField(number, Number(value));
}

function packed(number: number, form: 'varint' | 'float' | 'double', values: Elements): Buffer {
  if (form === 'varint') return field(number, ...values.map((value) => vint(value)));
  const array = form === 'float' ? Float32Array : Float64Array;
  return field(number, Buffer.from(array.from(values as readonly number[]).buffer));
}

describe.each(codes)('%s (%i)', (name, code) => {
  const dims = [3, 5];
  const raw = rawOf(name, 15);
  const { field: number, split, form } = typed[name]!;
  const values = split(raw);
  const encodings: [string, Buffer][] = [
    ['raw_data', rawData(raw)],
    ['a packed field', packed(number, form, values)],
    ['unpacked fields', flat(values.map((value) => single(number, form, value)))],
    [
      'a mixture of both',
      flat(
        packed(number, form, values.slice(0, 2)),
        single(number, form, values[2]!),
        packed(number, form, values.slice(3)),
        packed(number, form, []),
      ),
    ],
  ];
  it.each(encodings)('is read from %s', (_, data) => {
    const tensor = read(tensorProto('w', dims, code, data));
    expect([tensor.name, tensor.dataType, tensor.dims, tensor.size]).toEqual(['w', code, dims, 15]);
    expect(Buffer.from(tensor.bytes())).toEqual(raw);
    expect(tensor.byteLength).toBe(raw.length);
  });

  it('is read from a file at an offset, and from fields before its dims', () => {
    writeFileSync(join(folder, `${name}.bin`), flat(pattern(13), raw, pattern(7)));
    const external = new ExternalFiles(folder, 'model.onnx');
    const record = { location: `${name}.bin`, offset: '13', length: String(raw.length) };
    const tensor = read(tensorProto('w', dims, code, externalData(record)), external.resolve);
    expect(Buffer.from(tensor.bytes())).toEqual(raw);
    expect(tensor.isExternal).toBe(true);
    const inline = read(gather(tensor.encodeInline()));
    expect([inline.isExternal, inline.dims, Buffer.from(inline.bytes())]).toEqual([false, dims, raw]);
    const moved = read(gather(tensor.encodeExternal(`${name}.bin`, 13)), external.resolve);
    expect(Buffer.from(moved.bytes())).toEqual(raw);
    external.close();
    const shuffled = flat(rawData(raw), field(8, 'w'), numberField(2, code), field(1, vint(3), vint(5)));
    expect(Buffer.from(read(shuffled).bytes())).toEqual(raw);
  });

  it('keeps its bytes under another name', () => {
    for (const [, data] of encodings) {
      const original = tensorProto('w', dims, code, data, field(12, 'a doc string'), field(100, 'unknown'));
      const tensor = read(original);
      expect(Buffer.from(gather(tensor.encode()))).toEqual(original);
      const renamed = gather(tensor.renamed('v').encode());
      expect([read(renamed).name, Buffer.from(read(renamed).bytes())]).toEqual(['v', raw]);
      expect(Buffer.from(renamed).includes('a doc string')).toBe(true);
      expect(Buffer.from(renamed).includes('unknown')).toBe(true);
      expect(Buffer.from(gather(tensor.renamed('w').encode()))).toEqual(original);
    }
  });

  it('refuses one element too few or too many, in every encoding', async () => {
    const longer = rawOf(name, 24);
    for (const [bytes, elements] of [
      [raw.subarray(0, -1), values.slice(0, -1)],
      [longer, split(longer)],
    ] as const) {
      for (const data of [rawData(bytes), packed(number, form, elements)]) {
        const error = await failureOf('FORMAT', () => read(tensorProto('w', dims, code, data)));
        expect(error.message).toMatch(/ where .*\[3, 5\] needs \d+; test, tensor 'w'; the file is damaged/);
      }
    }
  });

  it('may be empty or a scalar', () => {
    expect(read(tensorProto('w', [0, 7], code)).bytes()).toHaveLength(0);
    expect(read(tensorProto('w', [0, 7], code, rawData(Buffer.alloc(0)))).bytes()).toHaveLength(0);
    const one = rawOf(name, 1);
    expect(Buffer.from(read(tensorProto('w', [], code, rawData(one))).bytes())).toEqual(one);
    expect(Buffer.from(read(tensorProto('w', [], code, packed(number, form, split(one)))).bytes())).toEqual(one);
  });
});

describe('numbers', () => {
  const floats = Float32Array.of(0, -0, 1.5, -3.4e38, 1e-45, Infinity, -Infinity, NaN, 65504, 0.1);
  const raw = (array: ArrayBufferView): Buffer => Buffer.from(array.buffer, array.byteOffset, array.byteLength);
  const numbersOf = (code: number, array: ArrayBufferView & { readonly length: number }): number[] => [
    ...read(tensorProto('w', [array.length], code, rawData(raw(array)))).toNumbers(),
  ];

  it('reads floats of all four types', () => {
    expect(numbersOf(1, floats)).toEqual([...floats]);
    const doubles = Float64Array.of(0.1, -1e308, 5e-324, NaN, Infinity);
    expect(numbersOf(11, doubles)).toEqual([...doubles]);
    const bits = Uint16Array.of(0, 0x8000, 0x3c00, 0x0001, 0x7c00, 0xfc00, 0x7e00);
    expect(numbersOf(10, bits)).toEqual([0, -0, 1, 2 ** -24, Infinity, -Infinity, NaN]);
    expect(numbersOf(16, bits)).toEqual([...bits].map((half) => bfloat16ToNumber(half)));
  });

  it('reads integers of every width and sign', () => {
    expect(numbersOf(7, BigInt64Array.of(-1n, 2n ** 53n, -(2n ** 63n)))).toEqual([-1, 2 ** 53, -(2 ** 63)]);
    expect(numbersOf(13, BigUint64Array.of(2n ** 64n - 1n))).toEqual([2 ** 64]);
    expect(numbersOf(6, Int32Array.of(-(2 ** 31), 7))).toEqual([-(2 ** 31), 7]);
    expect(numbersOf(12, Uint32Array.of(2 ** 32 - 1))).toEqual([2 ** 32 - 1]);
    expect(numbersOf(5, Int16Array.of(-32_768))).toEqual([-32_768]);
    expect(numbersOf(4, Uint16Array.of(65_535))).toEqual([65_535]);
    expect(numbersOf(3, Int8Array.of(-128))).toEqual([-128]);
    expect(numbersOf(2, Uint8Array.of(255))).toEqual([255]);
    expect(numbersOf(9, Uint8Array.of(1, 0))).toEqual([1, 0]);
  });

  it('rounds float64 to float32 and writes float32 as every float type', () => {
    const third = Float64Array.of(1 / 3, 1e300);
    const tensor = read(tensorProto('w', [2], 11, rawData(raw(third))));
    expect([...tensor.toFloat32()]).toEqual([Math.fround(1 / 3), Infinity]);
    for (const code of [1, 10, 11, 16]) {
      const written = read(gather(Tensor.ofFloats('w', [floats.length], floats, code).encode()));
      const expected = [...floats].map((value) =>
        code === 10
          ? float16ToNumber(Number(halfOf(value)))
          : code === 16
            ? bfloat16ToNumber(Number(brainOf(value)))
            : value,
      );
      expect([...written.toFloat32()]).toEqual(expected);
    }
  });

  /** Nearest by search among all: slow and certain. Both neighbours as near: the even one. */
  function nearest(value: number, decode: (bits: number) => number, largest: number): number {
    if (Number.isNaN(value)) return largest + 1;
    const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
    let best = 0;
    for (let bits = 0; bits < largest; bits++) {
      const [gap, least] = [bits, best].map((candidate) => Math.abs(decode(candidate) - Math.abs(value))) as [
        number,
        number,
      ];
      if (gap < least || (gap === least && bits % 2 === 0)) best = bits;
    }
    // What lies beyond the largest number by half a step or more is infinity.
    const limit = decode(largest - 1) + (decode(largest - 1) - decode(largest - 2)) / 2;
    return sign | (Math.abs(value) >= limit ? largest : best);
  }
  const halfOf = (value: number): number => nearest(value, float16ToNumber, 0x7c00);
  const brainOf = (value: number): number => nearest(value, bfloat16ToNumber, 0x7f80);

  it('refuses types that have no number', async () => {
    for (const code of [14, 15, 17, 21, 22, 23, 99]) {
      const data = dataTypeInfo(code) === undefined ? field(9, '') : rawData(rawOf(dataTypeInfo(code)!.name, 2));
      const tensor = read(tensorProto('w', [2], code, data));
      await failureOf('UNSUPPORTED', () => tensor.toNumbers());
    }
  });
});

describe('strings and unknown types', () => {
  it('passes strings through and counts them', async () => {
    const bytes = tensorProto('w', [2], 8, field(6, 'a'), field(6, Buffer.from([0xff, 0xfe])));
    const tensor = read(bytes);
    expect(Buffer.from(gather(tensor.encode()))).toEqual(bytes);
    expect(Buffer.from(gather(tensor.renamed('v').encode())).includes(Buffer.from([0xff, 0xfe]))).toBe(true);
    await failureOf('UNSUPPORTED', () => tensor.bytes());
    await failureOf('FORMAT', () => read(tensorProto('w', [3], 8, field(6, 'a'))));
  });

  it('passes types of the future through, inline and external', () => {
    writeFileSync(join(folder, 'future.bin'), pattern(10));
    const external = new ExternalFiles(folder, 'model.onnx');
    const inline = tensorProto('w', [2], 99, rawData(pattern(3)));
    expect(Buffer.from(gather(read(inline).encode()))).toEqual(inline);
    const record = { location: 'future.bin', offset: '2', length: '3' };
    const tensor = read(tensorProto('w', [2], 99, externalData(record)), external.resolve);
    expect(Buffer.from(tensor.bytes())).toEqual(pattern(10).subarray(2, 5));
    external.close();
  });
});

describe('what cannot be', () => {
  it.each([
    ['a negative dimension', tensorProto('w', [-1], 1), /impossible dimension -1/],
    ['a dimension of 2^63', tensorProto('w', [2 ** 63], 1), /impossible dimension/],
    ['dims whose product overflows', tensorProto('w', [2 ** 31, 2 ** 31], 1), /too large to be real/],
    ['dims whose bytes overflow', tensorProto('w', [2 ** 51], 1), /too large to be real/],
    ['dims with no data', tensorProto('w', [1024, 1024], 1), /0 values in float_data where .* needs 1048576/],
    [
      '300 dims',
      tensorProto(
        'w',
        Array.from({ length: 300 }, () => 1),
        1,
      ),
      /300 dimensions/,
    ],
    ['a million dims', tensorProto('w', [], 1, field(1, Buffer.alloc(1e6, 1))), /1000000 dimensions/],
    ['a name of two megabytes', tensorProto('w'.repeat(2e6), [1], 1, floatField(4, 1)), /over a megabyte/],
    ['a packed float that is cut', tensorProto('w', [2], 1, field(4, Buffer.alloc(7))), /cut short/],
    ['a packed varint that is cut', tensorProto('w', [2], 6, field(5, Buffer.from([1, 0x80]))), /cut short/],
    ['a packed varint of 11 bytes', tensorProto('w', [1], 6, field(5, Buffer.alloc(10, 0x80), Buffer.of(1))), /cut/],
  ])('%s', async (_, bytes, message) => {
    const error = await failureOf('FORMAT', () => read(bytes));
    expect(error.message).toMatch(message);
    expect(error.message.length).toBeLessThan(500);
  });
});

describe('large typed data', () => {
  it('is counted without being held, and decoded once, straight into raw form', () => {
    const count = 20_000_000;
    const path = join(folder, 'large.pb');
    const values = Buffer.alloc(2 * count);
    for (let i = 0; i < count; i++) {
      values[2 * i] = 0x80 | (i & 0x7f);
      values[2 * i + 1] = (i >> 7) & 0x7f;
    }
    const head = flat(numberField(1, count), numberField(2, 5), field(8, 'w'), tag(5, 2), vint(values.length));
    writeFileSync(path, flat(head, values));
    const source = fileSource(path);
    const before = process.memoryUsage();
    const started = performance.now();
    const tensor = Tensor.read({ source, start: 0, end: source.size }, noFiles);
    // Decoding to JavaScript numbers, as protobufjs does, takes 8 bytes an element on the heap: 160 MB.
    expect(process.memoryUsage().heapUsed - before.heapUsed).toBeLessThan(20e6);
    expect(performance.now() - started).toBeLessThan(5000);
    const bytes = tensor.bytes();
    expect(bytes.length).toBe(2 * count);
    const numbers = new Int16Array(bytes.buffer, bytes.byteOffset, count);
    for (let i = 0; i < count; i += 9973) expect(numbers[i]).toBe(i & 0x3fff);
    source.close();
  });

  it('of floats is not decoded at all: its payload is where it lies', () => {
    const values = Buffer.from(Float32Array.of(1, 2, 3).buffer);
    const bytes = tensorProto('w', [3], 1, field(4, values));
    const { start, end, source } = read(bytes).payload();
    expect(source.size).toBe(bytes.length);
    expect(bytes.subarray(start, end)).toEqual(values);
  });
});
