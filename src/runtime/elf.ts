import { open } from 'node:fs/promises';

/** What the dynamic section of an ELF library asks the loader for. */
export interface DynamicSection {
  /** DT_NEEDED: libraries by name, such as "libcublas.so.12". */
  readonly needed: readonly string[];
  /** DT_RUNPATH or DT_RPATH, split; may hold "$ORIGIN". */
  readonly searchPath: readonly string[];
}

const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const DT_NEEDED = 1;
const DT_STRTAB = 5;
const DT_STRSZ = 10;
const DT_RPATH = 15;
const DT_RUNPATH = 29;

/** A contiguous part of the file that the loader maps. */
interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly size: number;
}

/**
 * Reads the dynamic section of a 64-bit little-endian ELF file without reading the rest (a CUDA provider has hundreds of
 * megabytes). undefined where the file is something else. Source: System V ABI, chapters 4 and 5.
 */
export async function readDynamicSection(file: string): Promise<DynamicSection | undefined> {
  const handle = await open(file, 'r');
  try {
    const read = async (offset: number, length: number): Promise<Buffer> => {
      const buffer = Buffer.alloc(length);
      const { bytesRead } = await handle.read(buffer, 0, length, offset);
      return buffer.subarray(0, bytesRead);
    };
    const header = await read(0, 64);
    const isElf64 = header.length === 64 && header.readUInt32BE(0) === 0x7f454c46 && header[4] === 2 && header[5] === 1;
    if (!isElf64) return undefined;

    const entrySize = header.readUInt16LE(54);
    const table = await read(Number(header.readBigUInt64LE(32)), entrySize * header.readUInt16LE(56));
    const segments: Segment[] = [];
    for (let at = 0; at + 56 <= table.length; at += entrySize) {
      segments.push({
        type: table.readUInt32LE(at),
        offset: Number(table.readBigUInt64LE(at + 8)),
        address: Number(table.readBigUInt64LE(at + 16)),
        size: Number(table.readBigUInt64LE(at + 32)),
      });
    }
    const dynamic = segments.find((segment) => segment.type === PT_DYNAMIC);
    if (dynamic === undefined) return undefined;

    const entries = await read(dynamic.offset, dynamic.size);
    const tags: { readonly tag: number; readonly value: number }[] = [];
    for (let at = 0; at + 16 <= entries.length; at += 16) {
      tags.push({ tag: Number(entries.readBigInt64LE(at)), value: Number(entries.readBigUInt64LE(at + 8)) });
    }
    const valueOf = (wanted: number): number | undefined => tags.find(({ tag }) => tag === wanted)?.value;
    const stringsAddress = valueOf(DT_STRTAB);
    const stringsSize = valueOf(DT_STRSZ);
    const holder = segments.find(
      ({ type, address, size }) =>
        type === PT_LOAD &&
        stringsAddress !== undefined &&
        stringsAddress >= address &&
        stringsAddress < address + size,
    );
    if (stringsAddress === undefined || stringsSize === undefined || holder === undefined) return undefined;

    const strings = await read(stringsAddress - holder.address + holder.offset, stringsSize);
    const textsOf = (...wanted: readonly number[]): string[] =>
      tags
        .filter(({ tag }) => wanted.includes(tag))
        .map(({ value }) => strings.toString('utf8', value, strings.indexOf(0, value)));
    return {
      needed: textsOf(DT_NEEDED),
      searchPath: textsOf(DT_RUNPATH, DT_RPATH).flatMap((list) => list.split(':')),
    };
  } finally {
    await handle.close();
  }
}
