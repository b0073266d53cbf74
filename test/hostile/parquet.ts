import { vint } from '../support/build.js';
import { bytes, encode, type FieldValue, int, list, struct } from './thrift.js';

/** What a file of one image and its label says; every part may be replaced by a lie. */
export interface ParquetLies {
  readonly schema?: readonly FieldValue[];
  readonly schemaClaim?: number;
  readonly rows?: number | bigint;
  readonly groupRows?: number | bigint;
  readonly pageValues?: number;
  readonly pageSize?: number;
  readonly compressedSize?: number;
  readonly encoding?: number;
  readonly codec?: number;
  readonly body?: Uint8Array;
  readonly chunkStart?: number | bigint;
  readonly chunkSize?: number | bigint;
  readonly repeatedGroups?: number;
  readonly footer?: Uint8Array;
  readonly footerLength?: number;
}

const element = (name: string, type: number | undefined, children: number): FieldValue =>
  struct(
    ...(type === undefined ? [] : ([[1, int(type)]] as const)),
    [3, int(0)],
    [4, bytes(name)],
    ...(children === 0 ? [] : ([[5, int(children)]] as const)),
  );
export const group = (name: string, children: number): FieldValue => element(name, undefined, children);
export const leaf = (name: string, type: number): FieldValue => element(name, type, 0);

const magic = Buffer.from('PAR1');
const [int64, byteArray] = [2, 6];

/** A file of one row: `label` 0 and `image`, its own bytes; with lies in its headers. */
export function parquet(lies: ParquetLies): Buffer {
  const { schema = [group('schema', 2), leaf('image', byteArray), leaf('label', int64)] } = lies;
  const page = (body: Uint8Array, values = 1, encoding = 0): Buffer =>
    Buffer.concat([
      encode(
        struct(
          [1, int(0)],
          [2, int(lies.pageSize ?? body.length)],
          [3, int(lies.compressedSize ?? body.length)],
          [5, struct([1, int(values)], [2, int(encoding)], [3, int(3)], [4, int(3)])],
        ),
      ),
      body,
    ]);
  const image = page(Buffer.from([3, 0, 0, 0, 1, 2, 3]));
  const label = page(lies.body ?? Buffer.alloc(8), lies.pageValues, lies.encoding);
  const chunk = (name: string, type: number, start: number | bigint, size: number | bigint): FieldValue =>
    struct([
      3,
      struct(
        [1, int(type)],
        [2, list([int(0)])],
        [3, list([bytes(name)])],
        [4, int(lies.codec ?? 0)],
        [5, int(1)],
        [6, int(size)],
        [7, int(size)],
        [9, int(start)],
      ),
    ]);
  const labelAt = magic.length + image.length;
  const rowGroup = struct(
    [
      1,
      list([
        chunk('image', byteArray, magic.length, image.length),
        chunk('label', int64, lies.chunkStart ?? labelAt, lies.chunkSize ?? label.length),
      ]),
    ],
    [2, int(20)],
    [3, int(lies.groupRows ?? 1)],
  );
  const footer =
    lies.footer ??
    encode(
      struct(
        [1, int(1)],
        [2, list(schema, lies.schemaClaim)],
        [3, int(lies.rows ?? 1)],
        [4, list(Array.from({ length: lies.repeatedGroups ?? 1 }, () => rowGroup))],
      ),
    );
  const length = Buffer.alloc(4);
  length.writeUInt32LE(lies.footerLength ?? footer.length);
  return Buffer.concat([magic, image, label, footer, length, magic]);
}

/** Lists in lists. */
export function nestedLists(depth: number): Buffer {
  return Buffer.concat([Buffer.from([9, 4]), Buffer.alloc(depth, 0x19)]);
}

/** A run of `count` equal numbers of `width` bits. */
export function run(count: number, width: number): Buffer {
  return Buffer.concat([Buffer.from([width]), vint(BigInt(count) * 2n), Buffer.alloc(Math.ceil(width / 8))]);
}
