import { vint } from '../support/build.js';

/** Thrift's compact protocol, written field by field, so that any of it may be a lie. */
type Field = readonly [number: number, value: FieldValue];
export type FieldValue =
  | { readonly int: number | bigint }
  | { readonly bytes: Uint8Array }
  | { readonly list: readonly FieldValue[]; readonly claim?: number }
  | { readonly struct: readonly Field[] }
  | { readonly raw: Uint8Array; readonly type: number };

export const int = (value: number | bigint): FieldValue => ({ int: value });
export const bytes = (value: string | Uint8Array): FieldValue => ({ bytes: Buffer.from(value) });
export const list = (items: readonly FieldValue[], claim?: number): FieldValue =>
  claim === undefined ? { list: items } : { list: items, claim };
export const struct = (...fields: readonly Field[]): FieldValue => ({ struct: fields });

function typeOf(value: FieldValue): number {
  if ('int' in value) return 6;
  if ('bytes' in value) return 8;
  if ('list' in value) return 9;
  return 'struct' in value ? 12 : value.type;
}

export function encode(value: FieldValue): Buffer {
  if ('int' in value) {
    const wide = BigInt(value.int);
    return vint((wide << 1n) ^ (wide >> 63n));
  }
  if ('bytes' in value) return Buffer.concat([vint(value.bytes.length), value.bytes]);
  if ('list' in value) {
    const { list: items, claim = items.length } = value;
    const head = Buffer.from([0xf0 | (items.length === 0 ? 12 : typeOf(items[0]!))]);
    return Buffer.concat([head, vint(claim), ...items.map(encode)]);
  }
  if ('raw' in value) return Buffer.from(value.raw);
  const fields = value.struct.map(([number, field]) =>
    Buffer.concat([Buffer.from([typeOf(field)]), encode(int(number)), encode(field)]),
  );
  return Buffer.concat([...fields, Buffer.from([0])]);
}
