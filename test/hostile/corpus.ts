import { brotliCompressSync, constants, deflateSync, gzipSync } from 'node:zlib';
import sharp from 'sharp';
import type { ErrorCode } from '../../src/errors.js';
import { bmp } from '../data/support/bmp.js';
import { idxFile } from '../data/support/idx.js';
import { encoder, jpeg, pattern, tarMember, tarOf, withChecksum } from '../data/support/images.js';
import { field, flat, numberField, vint } from '../support/build.js';
import { group, leaf, nestedLists, parquet, run } from './parquet.js';
import { bytes as text, encode, type FieldValue, int, list, struct } from './thrift.js';

/** What reads a file: see reader.js. */
export type Reader =
  | 'image'
  | 'tar'
  | 'parquet'
  | 'idx'
  | 'mat'
  | 'truth'
  | 'model'
  | 'yaml'
  | 'study'
  | 'safetensors'
  | 'checkpoint'
  | 'lock';

/** A file that claims more than it holds, or holds more than it seems to. Made when it is asked for; nothing is stored. */
export interface HostileFile {
  readonly name: string;
  readonly reader: Reader;
  readonly make: () => Uint8Array | Promise<Uint8Array>;
  /** How it is refused; undefined where it is harmless once it is bounded. */
  readonly code: ErrorCode | undefined;
}

const latin1 = (content: string): Buffer => Buffer.from(content, 'latin1');

function of(
  reader: Reader,
  code: ErrorCode | undefined,
  files: Readonly<Record<string, HostileFile['make']>>,
): readonly HostileFile[] {
  return Object.entries(files).map(([name, make]) => ({ name: `${reader}: ${name}`, reader, make, code }));
}

function changed(original: Uint8Array, at: number, ...values: readonly number[]): Buffer {
  const result = Buffer.from(original);
  result.set(values, at);
  return result;
}

const photo = (): Promise<Buffer> => jpeg(pattern(64, 48));
const png = (): Promise<Buffer> => encoder(pattern(64, 48)).png().toBuffer();

/** A frame header of a JPEG that claims 65,500 x 65,500 pixels. */
const largeFrame = [0xff, 0xc0, 0, 17, 8, 0xff, 0xdc, 0xff, 0xdc, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1];

async function withSegment(...segment: readonly number[]): Promise<Buffer> {
  const good = await photo();
  return Buffer.concat([good.subarray(0, 2), Buffer.from(segment), good.subarray(2)]);
}

/** The size of the real frame replaced, behind a small frame that other rules than libjpeg's would find first. */
async function disguised(...disguise: readonly number[]): Promise<Buffer> {
  const good = await photo();
  const frame = good.indexOf(Buffer.from([0xff, 0xc0]));
  const large = changed(good, frame + 5, 0xff, 0xdc, 0xff, 0xdc);
  return Buffer.concat([large.subarray(0, 2), Buffer.from(disguise), large.subarray(2)]);
}

function box(type: string, ...content: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(content);
  const head = Buffer.alloc(8);
  head.writeUInt32BE(body.length + 8);
  head.write(type, 4);
  return Buffer.concat([head, body]);
}

async function largeAvif(): Promise<Buffer> {
  const good = await sharp({ create: { width: 64, height: 64, channels: 3, background: '#123' } })
    .avif()
    .toBuffer();
  const at = good.indexOf(latin1('ispe'));
  const result = Buffer.from(good);
  result.writeUInt32BE(30_000, at + 8);
  result.writeUInt32BE(30_000, at + 12);
  return result;
}

const images: readonly HostileFile[] = of('image', 'FORMAT', {
  nothing: () => Buffer.alloc(0),
  zeros: () => Buffer.alloc(1e6),
  'JPEG of 65,500 x 65,500': () => withSegment(...largeFrame),
  'JPEG of that size behind a frame in a marker below C0': () =>
    disguised(0xff, 0x02, 0xff, 0xc0, 0, 11, 8, 0, 1, 0, 1),
  'JPEG of that size behind FF00': () => disguised(0xff, 0x00, 0, 17, 8, 0, 1, 0, 1),
  'JPEG of that size behind bytes between segments': () => disguised(1, 2, 3, 4, 5, 6, 7),
  'JPEG of nothing but fill': () => Buffer.alloc(8e6, 0xff).fill(0xd8, 1, 2),
  'JPEG of a million empty segments': () =>
    Buffer.concat([latin1('\xff\xd8'), Buffer.alloc(4e6, latin1('\xff\xe1\x00\x02'))]),
  'JPEG cut': async () => (await photo()).subarray(0, 300),
  'PNG of 2^31 x 2^31': async () => changed(await png(), 16, 0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff),
  'PNG of 9,000 x 9,000 without data': async () => changed(await png(), 16, 0, 0, 35, 40, 0, 0, 35, 40),
  'PNG of 0 x 0': async () => changed(await png(), 16, 0, 0, 0, 0, 0, 0, 0, 0),
  'GIF of 65,535 x 65,535': () =>
    latin1('GIF89a\xff\xff\xff\xff\x00\x00\x00,\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0;'),
  'GIF of a frame of 9,000 x 9,000 without data': () =>
    latin1('GIF89a\x01\0\x01\0\x00\x00\x00,\0\0\0\0\x28\x23\x28\x23\0\x08\0;'),
  'GIF with a code that stands for nothing': () =>
    latin1('GIF89a\x09\0\x09\0\x00\x00\x00,\0\0\0\0\x09\0\x09\0\0\x02\x04\xff\xff\xff\xff\0;'),
  'GIF of extensions without end': () =>
    Buffer.concat([latin1('GIF89a\x01\0\x01\0\0\0\0'), Buffer.alloc(6e6, '!\xfe\x01a', 'latin1')]),
  'WebP of 2^24 x 2^24': async () => {
    const good = await encoder(pattern(64, 48)).ensureAlpha(0.5).webp().toBuffer();
    return changed(good, 24, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff);
  },
  'WebP whose canvas is 16,000 x 5,000': async () => {
    const good = await encoder(pattern(64, 48)).ensureAlpha(0.5).webp().toBuffer();
    return changed(good, 24, 0x7f, 0x3e, 0, 0x87, 0x13, 0);
  },
  'TIFF of 2^31 x 2^31': async () => {
    const good = Buffer.from(await encoder(pattern(64, 48)).tiff({ compression: 'none' }).toBuffer());
    const directory = good.readUInt32LE(4);
    for (let entry = 0; entry < good.readUInt16LE(directory); entry++) {
      const at = directory + 2 + 12 * entry;
      if ([256, 257].includes(good.readUInt16LE(at))) {
        good.writeUInt16LE(4, at + 2);
        good.writeUInt32LE(2 ** 31 - 1, at + 8);
      }
    }
    return good;
  },
  'TIFF whose directories lead in a circle': () => latin1('II*\0\x08\0\0\0\x00\x00\x08\0\0\0'),
  'AVIF of 30,000 x 30,000': largeAvif,
  'AVIF of boxes without end': () =>
    Buffer.concat([box('ftyp', latin1('avif\0\0\0\0avifmif1')), Buffer.alloc(4e6, box('free'))]),
  'BMP of 2^31 x 2^31': () =>
    changed(bmp({ width: 1, height: 1, bits: 24, data: [1, 2, 3] }), 18, 255, 255, 255, 127, 255, 255, 255, 127),
  'BMP of 9,000 x 9,000 without data': () =>
    changed(
      bmp({ width: 1, height: 1, bits: 1, data: [1], palette: [[1, 2, 3]] }),
      18,
      0x28,
      0x23,
      0,
      0,
      0x28,
      0x23,
      0,
      0,
    ),
  'BMP with 2^32 colours': () => changed(bmp({ width: 1, height: 1, bits: 8, data: [1] }), 46, 255, 255, 255, 255),
  'PGM of 99,999 x 99,999': () => latin1('P5 99999 99999 255 a'),
  'PGM of 9,000 x 9,000 without data': () => latin1('P5 9000 9000 255 a'),
  'PBM of digits of 9,000 x 9,000 without data': () => latin1('P1 9000 9000 1'),
  'PPM of a comment': () => Buffer.concat([latin1('P6 #'), Buffer.alloc(5e6, 'a')]),
  'PPM of a number of megabytes': () => Buffer.concat([latin1('P6 '), Buffer.alloc(5e6, '1')]),
  SVG: () =>
    latin1('<svg xmlns="http://www.w3.org/2000/svg" width="99999" height="99999"><rect width="9" height="9"/></svg>'),
  'SVG that includes itself': () =>
    latin1('<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><svg>&b;</svg>'),
  PDF: () => latin1('%PDF-1.7\n1 0 obj\n'),
  HEIC: () => box('ftyp', latin1('heic\0\0\0\0heicmif1')),
  PostScript: () => latin1('%!PS-Adobe-3.0\n(/etc/passwd) (r) file'),
  MVG: () => latin1('push graphic-context\nimage over 0,0 0,0 "ephemeral:/tmp/x"\npop graphic-context'),
});

const member = (name: string, size: number, type = '0'): Buffer => {
  const header = tarMember({ name, data: '', type }).subarray(0, 512);
  header.write(`${size.toString(8).padStart(11, '0')}\0`, 124);
  return withChecksum(Buffer.from(header));
};

const idx: readonly HostileFile[] = of('idx', 'FORMAT', {
  '18 EB of images': () => idxFile([0xffffffff, 0xffffffff, 1], [7]),
  '4 GB in gzip': () => gzipSync(idxFile([0xffff, 0xffff, 1], [7])),
  '256 MiB behind a header of 18 bytes, in gzip': () =>
    Buffer.concat([gzipSync(idxFile([3, 2, 3], Array(18).fill(7))), gzipSync(Buffer.alloc(2 ** 28))]),
  '256 MiB of nothing, in gzip': () => gzipSync(Buffer.alloc(2 ** 28)),
});

const tars: readonly HostileFile[] = of('tar', 'FORMAT', {
  'member of 8 GiB': () => Buffer.concat([member('a.jpg', 8 * 2 ** 30 - 1), Buffer.alloc(1024)]),
  'member of 2^80 bytes': () => {
    const header = Buffer.from(member('a.jpg', 0));
    header.fill(0xff, 124, 136);
    return Buffer.concat([withChecksum(header), Buffer.alloc(1024)]);
  },
  'extended header of 100 MB': () =>
    Buffer.concat([member('x', 1e8, 'x'), Buffer.alloc(1e8 + (512 - (1e8 % 512)), '6 a=b\n'), Buffer.alloc(1024)]),
  'long name of 100 MB': () =>
    Buffer.concat([member('x', 1e8, 'L'), Buffer.alloc(1e8 + (512 - (1e8 % 512)), 'a'), Buffer.alloc(1024)]),
  'extended header of records without a value': () =>
    Buffer.concat([member('x', 2 ** 19, 'x'), Buffer.alloc(2 ** 19, '4 a\n'), Buffer.alloc(1024)]),
  'extended header of records of length 0': () => tarOf([{ name: 'x', type: 'x', data: '0 a=b\n' }]),
  'no tar': () => Buffer.alloc(1e6, 'a'),
});

const manyMembers = (): Buffer => {
  const one = member('a/b.txt', 0);
  return Buffer.concat([Buffer.alloc(512 * 30_000, one), Buffer.alloc(1024)]);
};

/** A million of them. */
const many = (value: FieldValue): FieldValue => ({
  type: 9,
  raw: Buffer.concat([Buffer.from([0xfc]), vint(1e6), Buffer.alloc(1e6 * encode(value).length, encode(value))]),
});

const parquets: readonly HostileFile[] = of('parquet', 'FORMAT', {
  'footer of 4 GB': () => parquet({ footerLength: 2 ** 32 - 1 }),
  'footer of nothing': () => parquet({ footerLength: 0 }),
  'list of 2^31 in the footer': () => parquet({ schemaClaim: 2 ** 31 - 1 }),
  'list of 2^60 in the footer': () => parquet({ footer: Buffer.from([0x29, 0xfc, ...vint(2n ** 60n)]) }),
  'lists nested 100,000 times': () => parquet({ footer: nestedLists(100_000) }),
  'a million empty structures': () => parquet({ footer: encode(struct([2, many(struct())])) }),
  'a number of a megabyte': () => parquet({ footer: Buffer.concat([Buffer.from([0x16]), Buffer.alloc(1e6, 0x80)]) }),
  'an element with 2^31 children': () => parquet({ schema: [group('schema', 2 ** 31 - 1), leaf('image', 6)] }),
  'an element with -1 children': () => parquet({ schema: [group('schema', -1), leaf('image', 6), leaf('label', 2)] }),
  'a schema nested 10,000 times': () =>
    parquet({ schema: [...Array.from({ length: 10_000 }, () => group('a', 1)), leaf('image', 6)] }),
  'elements outside the tree': () =>
    parquet({ schema: [group('schema', 1), leaf('image', 6), leaf('label', 2), leaf('more', 2)] }),
  '2^62 rows': () => parquet({ groupRows: 2n ** 62n }),
  '10^9 rows in a run of equal labels': () =>
    parquet({ groupRows: 1e9, pageValues: 1e9, encoding: 8, body: run(1e9, 1) }),
  'a run of 2^31 values in a page of one': () => parquet({ encoding: 8, body: run(2 ** 31 - 1, 1) }),
  '-1 rows': () => parquet({ groupRows: -1 }),
  'a page that claims 2 GB': () => parquet({ pageSize: 2 ** 31 - 1, codec: 2 }),
  'a page that claims 2^60 bytes': () => parquet({ pageSize: 2 ** 60 }),
  'a page of -1 bytes': () => parquet({ pageSize: -1 }),
  'a compressed page beyond its column': () => parquet({ compressedSize: 2 ** 31 - 1 }),
  'a page of 2^31 values': () => parquet({ pageValues: 2 ** 31 - 1 }),
  'a gzip page that expands to 100 MB where 8 bytes are said': () =>
    parquet({ codec: 2, pageSize: 8, body: gzipSync(Buffer.alloc(1e8), { level: 1 }) }),
  'a Brotli page that expands to 100 MB where 8 bytes are said': () =>
    parquet({
      codec: 4,
      pageSize: 8,
      body: brotliCompressSync(Buffer.alloc(1e8), { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } }),
    }),
  'a Zstandard page with a window of 2 GB': () =>
    parquet({ codec: 6, pageSize: 8, body: Buffer.from('28b52ffd00a8010000', 'hex') }),
  'differences of numbers without end': () =>
    parquet({ encoding: 5, body: Buffer.concat([Buffer.from([128, 1, 4, 1]), Buffer.alloc(1e6, 0x80)]) }),
  'a column beyond the file': () => parquet({ chunkStart: 2 ** 40 }),
  'a column of 2^60 bytes': () => parquet({ chunkSize: 2n ** 60n }),
  'a column of -1 bytes': () => parquet({ chunkSize: -1 }),
  'a million row groups': () =>
    parquet({
      footer: encode(struct([2, list([group('s', 0)])], [4, many(struct([3, int(1)]))])),
    }),
  'a schema without columns': () => parquet({ schema: [group('schema', 0)] }),
  'names of a megabyte': () =>
    parquet({ schema: [group('schema', 1), struct([1, int(2)], [4, text('a'.repeat(1e6))])] }),
});

/** A MAT-file of one element. */
function mat(type: number, body: Uint8Array, claim = body.length): Buffer {
  const header = Buffer.alloc(128);
  header.write('MATLAB 5.0 MAT-file');
  header.write('IM', 126);
  return Buffer.concat([header, element(type, body, claim)]);
}

function element(type: number, body: Uint8Array, claim = body.length): Buffer {
  const tag = Buffer.alloc(8);
  tag.writeUInt32LE(type);
  tag.writeUInt32LE(claim, 4);
  return Buffer.concat([tag, body, Buffer.alloc((8 - (body.length % 8)) % 8)]);
}

function synsets(nameLength: Uint8Array, names: Uint8Array): Buffer {
  const parts = [
    element(6, Buffer.from([2, 0, 0, 0, 0, 0, 0, 0])),
    element(5, Buffer.alloc(8)),
    element(1, latin1('synsets')),
  ];
  return mat(14, Buffer.concat([...parts, element(5, nameLength), element(1, names)]));
}

const mats: readonly HostileFile[] = of('mat', 'FORMAT', {
  'an element of 4 GB': () => mat(14, Buffer.alloc(8), 2 ** 32 - 1),
  'a compressed element that expands to 200 MB': () => mat(15, deflateSync(Buffer.alloc(2e8), { level: 1 })),
  'a million compressed elements': () =>
    Buffer.concat([
      mat(15, deflateSync(Buffer.alloc(8))),
      Buffer.alloc(16e6, element(15, deflateSync(Buffer.alloc(8)))),
    ]),
  'eight million empty elements': () => mat(14, Buffer.alloc(6.4e7)),
  'those, compressed': () => mat(15, deflateSync(element(14, Buffer.alloc(6e7)))),
  'field names of no length': () => synsets(Buffer.from([0, 0, 0, 0]), latin1('WNID')),
  'field names of one byte': () => synsets(Buffer.from([1, 0, 0, 0]), Buffer.alloc(3e7, 'a')),
  'field names of negative length': () => synsets(Buffer.from([255, 255, 255, 255]), latin1('WNID')),
  'a cut stream': () => mat(15, deflateSync(Buffer.alloc(1e6)).subarray(0, 50)),
});

const truths: readonly HostileFile[] = of('truth', 'FORMAT', {
  'gzip that expands to 200 MB': () => gzipSync(Buffer.alloc(2e8), { level: 1 }),
  'gzip cut': () => gzipSync(Buffer.alloc(1e6, 'abc')).subarray(0, 600),
  'no gzip': () => Buffer.alloc(100),
  'tar of members without end': () => gzipSync(manyMembers()),
});

const graph = (...content: readonly Uint8Array[]): Buffer =>
  flat(numberField(1, 8), field(7, ...content), field(8, numberField(2, 17)));
const relu = (...more: readonly Uint8Array[]): Buffer =>
  field(1, field(1, 'x'), field(2, 'y'), field(4, 'Relu'), ...more);
const input = field(11, field(1, 'x'));
const output = field(12, field(1, 'y'));
const fill = (bytes: number, unit: Uint8Array): Buffer => Buffer.alloc(bytes - (bytes % unit.length), unit);

const models: readonly HostileFile[] = [
  ...of('model', 'UNSUPPORTED', {
    '18 million fields': () => flat(graph(relu(), input, output), fill(3.6e7, Buffer.from([0x20, 0]))),
    '18 million empty operator sets': () => flat(graph(relu(), input, output), fill(3.6e7, Buffer.from([0x42, 0]))),
    '3.6 million empty operator sets beside 29 MB of something else': () =>
      flat(graph(relu(), input, output), fill(7.2e6, Buffer.from([0x42, 0])), field(99, Buffer.alloc(2.9e7))),
    'an operator set of 4 million fields': () =>
      flat(graph(relu(), input, output), field(8, fill(8e6, Buffer.from([0x50, 0])))),
    'metadata of 4 million fields': () =>
      flat(graph(relu(), input, output), field(14, fill(8e6, Buffer.from([0x50, 0])))),
    '4 million empty attributes': () => graph(relu(fill(8e6, Buffer.from([0x2a, 0]))), input, output),
    'a list of 10 million numbers': () =>
      graph(relu(field(5, field(1, 'a'), field(8, Buffer.alloc(1e7)), numberField(20, 7))), input, output),
    'a single number 10 million times': () =>
      graph(relu(field(5, field(1, 'a'), field(3, Buffer.alloc(1e7)), numberField(20, 2))), input, output),
    'a list of 4 million empty strings': () =>
      graph(relu(field(5, field(1, 'a'), fill(8e6, Buffer.from([0x4a, 0])), numberField(20, 8))), input, output),
    '4 million inputs of a node': () => graph(relu(fill(8e6, Buffer.from([0x0a, 0]))), input, output),
    'a body of a million names': () => {
      const node = field(1, fill(3e6, field(1, 'a')), field(4, 'Split'));
      return graph(relu(field(5, field(1, 'a'), field(6, node), numberField(20, 5))), input, output);
    },
  }),
  ...of('model', 'FORMAT', {
    'a declaration of a million dimensions': () =>
      graph(relu(), field(11, field(1, 'x'), field(2, field(1, field(2, fill(2e6, Buffer.from([0x0a, 0])))))), output),
    'a tensor of a million dimensions': () =>
      graph(relu(), input, output, field(5, Buffer.alloc(2e6, Buffer.from([8, 1])), field(8, 'w'))),
    'a tensor of 2^62 elements': () =>
      graph(relu(), input, output, field(5, numberField(1, 2n ** 62n), numberField(2, 1), field(8, 'w'))),
    'a length of 2^63': () => Buffer.concat([Buffer.from([0x3a]), vint(2n ** 63n)]),
    'groups nested without end': () => Buffer.alloc(1e6, 0x0b),
    'bodies nested 10,000 times': () => {
      let body: Buffer = field(1, field(4, 'Relu'));
      for (let depth = 0; depth < 200; depth++)
        body = field(1, field(4, 'If'), field(5, field(1, 'a'), field(6, body), numberField(20, 5)));
      return graph(body, input, output);
    },
  }),
];

const yamls: readonly HostileFile[] = (['yaml', 'study'] as const).flatMap((reader) =>
  of(reader, 'USAGE', {
    'aliases of aliases': () =>
      latin1(
        `a: &a [x,x,x,x,x,x,x,x,x]\n${Array.from('bcdefghi', (key, index) => `${key}: &${key} [${Array<string>(9).fill(`*${'abcdefgh'[index]!}`).join()}]`).join('\n')}`,
      ),
    'an alias of what it stands in': () => latin1('train: &a\n  epochs: *a\n'),
    'an alias of a list that it stands in': () => latin1('seeds: &a [*a]'),
    'an alias of nothing': () => latin1('seeds: *a'),
    'lists nested 60,000 times': () => latin1(`a: ${'['.repeat(60_000)}`),
    'keys of keys': () => latin1('? '.repeat(30_000)),
    'more than a file of settings has': () => Buffer.alloc(5e6, 'a: b\n'),
    '10,000 keys': () => latin1(Array.from({ length: 10_000 }, (_, index) => `k${index}: 1`).join('\n')),
    'a key twice': () => latin1('seeds: 1\nseeds: 2'),
    code: () => latin1('seeds: !!js/function "function () {}"'),
    zeros: () => Buffer.alloc(1000),
    'names of the language': () => latin1('__proto__: {polluted: 1}\nconstructor: 2\n'),
  }),
);

function safetensors(header: string, data = 0): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(header)));
  return Buffer.concat([length, Buffer.from(header), Buffer.alloc(data)]);
}

const f32 = (begin: number, end: number): string =>
  `{"dtype":"F32","shape":[${(end - begin) / 4}],"data_offsets":[${begin},${end}]}`;

const checkpoints: readonly HostileFile[] = of('safetensors', 'FORMAT', {
  'a header of 2^63 bytes': () => Buffer.alloc(100, 0xff),
  'a header of 200 MB': () => Buffer.concat([Buffer.from([0, 0, 0, 12, 0, 0, 0, 0]), Buffer.alloc(2e8 + 1e7, ' ')]),
  'a thousand tensors of the same megabyte': () =>
    safetensors(`{${Array.from({ length: 1000 }, (_, index) => `"t${index}":${f32(0, 1e6)}`).join()}}`, 1e6),
  'tensors that overlap': () => safetensors(`{"a":${f32(0, 8)},"b":${f32(4, 12)}}`, 12),
  'bytes of no tensor': () => safetensors(`{"a":${f32(0, 8)},"b":${f32(12, 16)}}`, 16),
  'a tensor beyond the file': () => safetensors(`{"a":${f32(0, 4e9)}}`, 8),
  'a shape of 2^53 squared': () =>
    safetensors('{"a":{"dtype":"F32","shape":[9007199254740991,9007199254740991],"data_offsets":[0,8]}}', 8),
  'a name twice': () => safetensors(`{"a":${f32(0, 4)},"a":${f32(4, 8)}}`, 8),
  'three million empty lists': () => safetensors(`{"a":[${Array<string>(3e6).fill('[]').join()}]}`),
  'lists nested a million times': () => safetensors(`{"a":${'['.repeat(1e6)}${']'.repeat(1e6)}}`),
  'names of the language': () => safetensors('{"__proto__":{"dtype":"constructor","shape":[],"data_offsets":[0,0]}}'),
});

/** Refused otherwise, or not at all. */
const others: readonly HostileFile[] = [
  ...of('truth', 'UNSUPPORTED', {
    'gzip of gzip': () => gzipSync(gzipSync(Buffer.alloc(1e7))),
  }),
  ...of('parquet', undefined, {
    'differences in 2^31 parts': () =>
      parquet({
        encoding: 5,
        body: Buffer.from([...vint(2 ** 31), ...vint(2 ** 28), 1, 0, ...Array<number>(50).fill(128)]),
      }),
  }),
  ...of('tar', 'INPUT', { '30,000 empty members': manyMembers }),
  ...of('model', undefined, {
    '500,000 empty operator sets beside 35 MB of something else': () =>
      flat(graph(relu(), input, output), fill(1e6, Buffer.from([0x42, 0])), field(99, Buffer.alloc(3.5e7))),
    '2.8 million unknown fields beside 30 MB of something else': () =>
      flat(graph(relu(), input, output), fill(5.6e6, Buffer.from([0x20, 0])), field(99, Buffer.alloc(3e7))),
  }),
  ...of('safetensors', undefined, {
    'a hundred thousand empty tensors': () =>
      safetensors(
        `{${Array.from({ length: 1e5 }, (_, index) => `"t${index}":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}`).join()}}`,
      ),
  }),
];

/** All of them. */
export const corpus: readonly HostileFile[] = [
  ...images,
  ...idx,
  ...tars,
  ...parquets,
  ...mats,
  ...truths,
  ...models,
  ...yamls,
  ...checkpoints,
  ...others,
];
