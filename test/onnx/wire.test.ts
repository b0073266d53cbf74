import { describe, expect, it } from 'vitest';
import { memorySource, type ByteRange } from '../../src/files/source.js';
import { delimited, fields, readVarint, varint } from '../../src/onnx/wire.js';
import { gather } from '../../src/files/chunk.js';
import { doubleField, field, flat, floatField, group, longVint, numberField, tag, vint } from '../support/build.js';
import { failureOf } from '../support/errors.js';

function range(...parts: Uint8Array[]): ByteRange {
  const bytes = flat(...parts);
  return { source: memorySource(bytes, 'test'), start: 0, end: bytes.length };
}

const walk = (...parts: Uint8Array[]): [number, number, number][] =>
  [...fields(range(...parts))].map(({ number, wireType, payload, end }) => [number, wireType, end - payload]);

describe('fields of a message', () => {
  it('walks every wire type, groups included', () => {
    const inner = flat(numberField(1, 300), field(2, 'text'), group(3, floatField(4, 1)), doubleField(5, 2));
    expect(
      walk(numberField(1, -1), doubleField(2, 1), field(3, 'abc'), group(4, inner), floatField(536870911, 1)),
    ).toEqual([
      [1, 0, 10],
      [2, 1, 8],
      [3, 2, 3],
      [4, 3, inner.length + 1],
      [536870911, 5, 4],
    ]);
  });

  it('accepts numbers that take more bytes than they need', () => {
    expect(
      walk(flat(longVint(8, 5), longVint(7, 10)), flat(longVint(18, 3), longVint(2, 5), Buffer.from('ab'))),
    ).toEqual([
      [1, 0, 10],
      [2, 2, 2],
    ]);
  });

  it('reads across the edge of its window', () => {
    const many = Array.from({ length: 5000 }, (_, i) => numberField(1 + (i % 3), i * 1e6));
    const wire = range(...many);
    const values = [...fields(wire)].map(({ payload, end }) => readVarint({ ...wire, start: payload, end }));
    expect(values).toEqual(Array.from({ length: 5000 }, (_, i) => i * 1e6));
  });

  const cut = field(1, 'abcdef');
  it.each([
    ['a length beyond the end', cut.subarray(0, 4)],
    ['a length of 4 GB in a small file', flat(tag(1, 2), vint(2 ** 32), Buffer.alloc(1000))],
    ['a length of 2^63', flat(tag(1, 2), vint(2n ** 63n), Buffer.alloc(10))],
    ['a cut number', Buffer.from([0x08, 0x80])],
    ['a number of eleven bytes', flat(Buffer.from([0x08]), Buffer.alloc(10, 0x80), Buffer.from([1]))],
    ['a cut float', flat(tag(1, 5), Buffer.alloc(3))],
    ['a cut double', flat(tag(1, 1), Buffer.alloc(7))],
    ['field number 0', Buffer.from([0x00, 0x00])],
    ['a field number above 2^29', flat(vint(2 ** 32 + 8), vint(0))],
    ['wire type 6', Buffer.from([0x0e, 0x00])],
    ['wire type 7', Buffer.from([0x0f, 0x00])],
    ['a group that ends nowhere', flat(tag(1, 3), numberField(2, 1))],
    ['the end of another group', flat(tag(1, 3), tag(2, 4))],
    ['the end of no group', tag(1, 4)],
    ['groups nested 10,000 deep', flat(...Array.from({ length: 10_000 }, () => tag(1, 3)))],
  ])('refuses %s', async (_, bytes) => {
    const error = await failureOf('FORMAT', () => walk(bytes));
    expect(error.message).toMatch(/^not an ONNX file: .+ at byte \d+; test; check/);
  });
});

describe('what is written', () => {
  it('is what was read', () => {
    for (const value of [0, 1, 127, 128, 16_383, 16_384, 2 ** 31, 2 ** 32 + 5, 2 ** 53 - 1]) {
      expect(Buffer.from(varint(value))).toEqual(vint(value));
    }
    const nested = gather(delimited(3, delimited(200, [Buffer.from('abc'), Buffer.from('def')])));
    expect(Buffer.from(nested)).toEqual(field(3, field(200, 'abcdef')));
  });
});
