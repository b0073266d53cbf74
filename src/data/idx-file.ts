import { createGunzip } from 'node:zlib';
import { LowrankError, messageOf } from '../errors.js';
import { readRegular } from '../files/regular.js';

/** The bytes of an idx file, the last dimension fastest. */
export interface IdxArray {
  readonly dims: readonly number[];
  readonly data: Uint8Array;
}

/** What idx files hold, by the third byte of their magic number. */
const typeNames: Readonly<Record<number, string>> = {
  0x08: 'bytes',
  0x09: 'signed bytes',
  0x0b: '16-bit integers',
  0x0c: '32-bit integers',
  0x0d: 'floats',
  0x0e: 'doubles',
};

/** Beyond what any data set of this format has, and a buffer holds it. */
const mostBytes = 2 ** 31 - 2;
/** A compressed file may expand to three times its size, and so much; labels take many times as much memory as their bytes. */
const freeBytes = { images: 3 * 2 ** 26, labels: 2 ** 22 } as const;

interface Header {
  readonly dims: readonly number[];
  /** Where the numbers begin. */
  readonly start: number;
  /** Where they end, as the header says. */
  readonly end: number;
}

/**
 * Reads a file of the MNIST database: two zero bytes, the type, the number of dimensions, the dimensions as big-endian 32-bit
 * numbers, then the numbers; compressed with gzip or not. Throws INPUT where it cannot be read, UNSUPPORTED for other numbers than
 * bytes, FORMAT where it is none, has not `dimensions` dimensions of at least 1, or holds fewer or more bytes than it says.
 */
export async function readIdx(path: string, dimensions: number): Promise<IdxArray> {
  const bytes = readRegular(path, mostBytes);
  const isCompressed = bytes[0] === 0x1f && bytes[1] === 0x8b;
  const whole = isCompressed ? await expanded(bytes, path, dimensions) : bytes;
  const { dims, start, end } = headerOf(whole, path, dimensions);
  if (whole.length < end) {
    throw damaged(
      path,
      `the file is cut: [${dims.join(', ')}] bytes and a header are ${end}, and it has ${whole.length}`,
    );
  }
  if (whole.length > end) throw longer(path, dims);
  return { dims, data: whole.subarray(start, end) };
}

/** As much of what is compressed as its header says, in memory for that much. */
async function expanded(bytes: Buffer, path: string, dimensions: number): Promise<Buffer> {
  const gunzip = createGunzip({ chunkSize: 2 ** 18 });
  gunzip.end(bytes);
  let header: Header | undefined;
  let whole = Buffer.alloc(0);
  let length = 0;
  try {
    for await (const chunk of gunzip as AsyncIterable<Buffer>) {
      if (header === undefined) {
        header = headerOf(chunk, path, dimensions);
        whole = Buffer.allocUnsafeSlow(roomFor(header, bytes.length, path));
      }
      if (length + chunk.length > whole.length) throw longer(path, header.dims);
      whole.set(chunk, length);
      length += chunk.length;
    }
  } catch (error) {
    if (error instanceof LowrankError) throw error;
    throw damaged(path, `the gzip file is damaged: ${messageOf(error)}`, error);
  }
  return whole.subarray(0, length);
}

/** Bytes that a compressed file expands to. */
function roomFor({ dims, end }: Header, compressed: number, path: string): number {
  const most = Math.min(mostBytes, 3 * compressed + freeBytes[dims.length === 1 ? 'labels' : 'images']);
  if (end <= most) return end;
  throw new LowrankError('FORMAT', `the gzip file of ${compressed} bytes says that it expands to ${end}`, {
    place: path,
    remedy: 'run `gunzip` first, and give what it writes',
  });
}

function headerOf(bytes: Uint8Array, path: string, dimensions: number): Header {
  const start = 4 + 4 * dimensions;
  const [first, second, type, count] = bytes;
  if (first !== 0 || second !== 0 || type === undefined || count === undefined || !(type in typeNames)) {
    const shown = Array.from(bytes.subarray(0, 4), (byte) => byte.toString(16).padStart(2, '0')).join(' ');
    throw damaged(
      path,
      bytes.length < 4 ? 'the file is cut in its header' : `it is no idx file: it begins with ${shown}`,
    );
  }
  if (count !== dimensions) {
    const what = dimensions === 1 ? 'labels have 1' : 'images have 3: images, rows, columns';
    throw new LowrankError('FORMAT', `the idx file has ${count} dimension${count === 1 ? '' : 's'}, and ${what}`, {
      place: path,
      remedy: dimensions === 1 ? 'give labels of one number each' : 'give a file of grey images',
    });
  }
  if (type !== 0x08) {
    throw new LowrankError('UNSUPPORTED', `the idx file holds ${typeNames[type]!}, and bytes are read`, {
      place: path,
      remedy: 'write it as unsigned bytes (type 0x08)',
    });
  }
  if (bytes.length < start) throw damaged(path, 'the file is cut in its header');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const dims = Array.from({ length: dimensions }, (_, index) => view.getUint32(4 + 4 * index));
  if (dims.includes(0)) {
    throw new LowrankError('FORMAT', `the idx file holds nothing: its dimensions are [${dims.join(', ')}]`, {
      place: path,
    });
  }
  return { dims, start, end: dims.reduce((product, dim) => product * dim, 1) + start };
}

function longer(path: string, dims: readonly number[]): LowrankError {
  return damaged(path, `the file has more bytes than its header says: [${dims.join(', ')}]`);
}

function damaged(path: string, fact: string, cause?: unknown): LowrankError {
  return new LowrankError('FORMAT', fact, { place: path, remedy: 'download it again', cause });
}
