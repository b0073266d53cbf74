import { LowrankError } from '../errors.js';
import type { OpenFile } from './files.js';
import { blockSize, isHeader, numberAt, untilZero, nameOf, type PaxRecords, paxRecords } from './tar-header.js';

/** A regular file in a tar. Its name is data: nothing is ever written to it, nor read from it. */
export interface TarEntry {
  readonly name: string;
  /** Of its bytes, in the file that holds the tar. */
  readonly offset: number;
  readonly size: number;
  /** A hard link: the name of the member whose bytes these are (see `followLinks`). It has none of its own. */
  readonly link?: string;
}

/** What a tar holds beside regular files: counted, and left out. */
export interface TarNotes {
  symbolicLinks: number;
  /** Hard links to members that are not there. */
  brokenLinks: number;
  /** Files with holes, which are stored in pieces. */
  sparse: number;
  /** Devices, pipes, parts of other volumes. */
  special: number;
  /** Members behind the end mark: after a lone block of zeros, or of a tar that was appended to this one. */
  afterEnd: number;
}

export function noTarNotes(): TarNotes {
  return { symbolicLinks: 0, brokenLinks: 0, sparse: 0, special: 0, afterEnd: 0 };
}

/** The notes as sentences. */
export function tarWarnings(notes: TarNotes): readonly string[] {
  const { symbolicLinks, brokenLinks, sparse, special, afterEnd } = notes;
  const kinds = [
    [symbolicLinks, 'symbolic link', ''],
    [brokenLinks, 'hard link', ' to members that are not there'],
    [sparse, 'sparse file', ''],
    [special, 'special member', ' (devices, pipes, parts of other volumes)'],
    [afterEnd, 'member', ' behind the end mark of its tar, a block of zeros'],
  ] as const;
  return kinds.flatMap(([count, what, where]) => {
    if (count === 0) return [];
    return [`${count} ${what}${count === 1 ? '' : 's'}${where}: ${count === 1 ? 'it is' : 'they are'} left out`];
  });
}

/** The part of a file that is a tar. */
interface TarRange {
  readonly start: number;
  readonly end: number;
  /** For errors: the tar itself, and where it is a member of another one, its name there. */
  readonly place: string;
}

/** The whole file as a tar. */
export function wholeTar(file: OpenFile): TarRange {
  return { start: 0, end: file.size, place: file.path };
}

/** A member that is a tar itself. */
export function nestedTar(entry: TarEntry, place: string): TarRange {
  return { start: entry.offset, end: entry.offset + entry.size, place: `${place}, member '${entry.name}'` };
}

/**
 * The regular files and hard links of a tar (POSIX ustar and pax, GNU long names and sizes), in order, by reading its headers
 * alone; what else there is goes into `notes`. Throws FORMAT with the offset where a header is damaged or the tar is cut,
 * UNSUPPORTED where it is compressed.
 */
export function* tarEntries(file: OpenFile, range: TarRange, notes: TarNotes = noTarNotes()): Generator<TarEntry> {
  checkNotCompressed(file, range);
  const mark = yield* membersFrom(file, range, range.start, notes);
  notes.afterEnd += membersAfter(file, range, mark);
}

/** The members from an offset on; returns the offset of the end mark. */
function* membersFrom(file: OpenFile, range: TarRange, from: number, notes: TarNotes): Generator<TarEntry, number> {
  const { end } = range;
  let at = from;
  let longName: string | undefined;
  let longLink: string | undefined;
  let extended: PaxRecords = {};
  while (at < end) {
    const header = new Uint8Array(file.peek(at, blockSize));
    if (header.length < blockSize || at + blockSize > end) throw cut(range, at, 'inside a header');
    if (isZero(header)) return at;
    checkChecksum(header, range, at);
    const type = String.fromCharCode(header[156]!);
    const headerSize = numberAt(header, 124, 12);
    const isOwnHeader = type === 'x' || type === 'g' || type === 'L' || type === 'K';
    const statedSize = isOwnHeader ? headerSize : (extended.size ?? headerSize);
    const offset = at + blockSize;
    checkExtended(range, at, type, headerSize);
    const name = longName ?? extended.path ?? nameOf(header);
    if (!Number.isSafeInteger(statedSize) || statedSize < 0) {
      throw damaged(range, at, `member '${name}' has no valid size`);
    }
    const size = isWithoutData(type, statedSize, () => file.peek(offset, blockSize)) ? 0 : statedSize;
    if (offset + size > end) {
      throw cut(range, offset, `in member '${name}': ${offset + size - end} of its ${size} bytes are missing`);
    }
    let data = offset;
    if (type === 'x') {
      const body = Buffer.from(file.peek(offset, size));
      extended = paxRecords(body, () => damaged(range, at, 'an extended header is damaged'));
    } else if (type === 'L') {
      longName = untilZero(file.peek(offset, size));
    } else if (type === 'K') {
      longLink = untilZero(file.peek(offset, size));
    } else if (type !== 'g') {
      if (type === 'S') data = afterSparseMaps(file, range, header, offset);
      const link = longLink ?? extended.linkpath ?? untilZero(header.subarray(157, 257));
      const entry = entryOf({ type, name, offset, size, link, isSparse: extended.isSparse === true }, notes);
      if (entry !== undefined) yield entry;
      longName = undefined;
      longLink = undefined;
      extended = {};
    }
    at = data + Math.ceil(size / blockSize) * blockSize;
  }
  throw cut(range, end, 'before its end mark, two blocks of zeros');
}

interface Stated {
  readonly type: string;
  readonly name: string;
  readonly offset: number;
  readonly size: number;
  readonly link: string;
  readonly isSparse: boolean;
}

/** The member where it is a file or a hard link; else it is counted. */
function entryOf({ type, name, offset, size, link, isSparse }: Stated, notes: TarNotes): TarEntry | undefined {
  const isFile = type === '0' || type === '\0' || type === '7';
  if (type === 'S' || (isFile && isSparse)) notes.sparse += 1;
  else if (isFile) return name.endsWith('/') ? undefined : { name, offset, size };
  // pax may store the bytes of a file once more with its link.
  else if (type === '1') return size > 0 ? { name, offset, size } : { name, offset, size, link };
  else if (type === '2') notes.symbolicLinks += 1;
  else if (!foldersAndLabels.has(type)) notes.special += 1;
  return undefined;
}

/** Folders, GNU's lists of folders, and labels of volumes. */
const foldersAndLabels: ReadonlySet<string> = new Set(['5', 'D', 'V']);

/** Links, devices, folders and pipes have no bytes, whatever their header says: of old tars it is the size of the file. */
function isWithoutData(type: string, size: number, next: () => Uint8Array): boolean {
  if (type === '1' && size > 0) return isHeader(next()) || isZero(next());
  return type >= '2' && type <= '6';
}

/** GNU's maps of holes that did not fit into the header follow it, one block each. */
function afterSparseMaps(file: OpenFile, range: TarRange, header: Uint8Array, offset: number): number {
  let at = offset;
  let isExtended = header[482] !== 0;
  while (isExtended) {
    const map = file.peek(at, blockSize);
    if (map.length < blockSize || at + blockSize > range.end) throw cut(range, at, 'inside the map of a sparse file');
    isExtended = map[504] !== 0;
    at += blockSize;
  }
  return at;
}

/** Tools fill up their tars with zeros: so many at most are looked through for what follows. */
const mostFill = 2 ** 20;

/** The members that follow the end mark: those of a tar with a lone block of zeros in it, or with another one behind. */
function membersAfter(file: OpenFile, range: TarRange, mark: number): number {
  let from = mark;
  let members = 0;
  while (true) {
    const last = Math.min(range.end - blockSize, from + mostFill);
    while (from <= last && isZero(file.peek(from, blockSize))) from += blockSize;
    if (from > last) return members;
    try {
      const following = membersFrom(file, range, from, noTarNotes());
      let next = following.next();
      for (; next.done !== true; next = following.next()) members += 1;
      from = next.value;
    } catch {
      return members;
    }
  }
}

/**
 * Entries with hard links followed to the files that they are, in the same order: to the last one of that name before, as it is
 * unpacked, or else after. Links to nothing are counted.
 */
export function followLinks(entries: readonly TarEntry[], notes: TarNotes): readonly TarEntry[] {
  if (entries.every(({ link }) => link === undefined)) return entries;
  const pathOf = (name: string): string => name.replace(/^(?:\.?\/)+/, '');
  const all = new Map<string, TarEntry>();
  for (const entry of entries) if (entry.link === undefined) all.set(pathOf(entry.name), entry);
  const before = new Map<string, TarEntry>();
  return entries.flatMap((entry) => {
    const { name, link } = entry;
    const target = link === undefined ? entry : (before.get(pathOf(link)) ?? all.get(pathOf(link)));
    if (target === undefined) {
      notes.brokenLinks += 1;
      return [];
    }
    const file = link === undefined ? entry : { name, offset: target.offset, size: target.size };
    before.set(pathOf(name), file);
    return [file];
  });
}

function cut({ place }: TarRange, offset: number, where: string): LowrankError {
  return new LowrankError('FORMAT', `the tar is cut ${where}`, {
    place: `${place}, offset ${offset}`,
    remedy: 'copy or download it again',
  });
}

function damaged({ place }: TarRange, offset: number, fact: string): LowrankError {
  return new LowrankError('FORMAT', fact, { place: `${place}, offset ${offset}`, remedy: 'copy or download it again' });
}

function checkNotCompressed(file: OpenFile, { start, place }: TarRange): void {
  const head = Buffer.from(file.peek(start, 4)).toString('hex');
  const tool = compressions.find(([magic]) => head.startsWith(magic))?.[1];
  if (tool === undefined) return;
  throw new LowrankError(
    'UNSUPPORTED',
    'the tar is compressed: its members cannot be found without reading all of it',
    { place, remedy: `decompress it first, with ${tool}; images do not get smaller by it` },
  );
}

/** First bytes of compressed files, and what decompresses them. */
const compressions = [
  ['1f8b', 'gunzip'],
  ['28b52ffd', 'unzstd'],
  ['425a68', 'bunzip2'],
  ['fd377a58', 'unxz'],
] as const;

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

/** Names, and what else extended headers say: a name has 4096 bytes at most. */
const largestExtended = 2 ** 20;

/** Headers that say more about the next one are read whole: GNU's long names and links, and those of pax. */
function checkExtended(range: TarRange, at: number, type: string, size: number): void {
  if (!['L', 'K', 'x'].includes(type) || size <= largestExtended) return;
  throw damaged(range, at, `an extended header of ${size} bytes, where ${largestExtended} are the most`);
}

function checkChecksum(header: Uint8Array, range: TarRange, at: number): void {
  if (isHeader(header)) return;
  const isFirst = at === range.start;
  throw damaged(range, at, isFirst ? 'the file is no tar' : 'the header of a member is damaged');
}

/** The regular files of a tar in memory. */
export function* memoryTar(
  bytes: Uint8Array,
  place: string,
): Generator<{ readonly name: string; readonly data: Uint8Array }> {
  const slice = (offset: number, length: number): Uint8Array => bytes.subarray(offset, offset + length);
  const file = { path: place, size: bytes.length, peek: slice, read: slice, close: () => {} };
  const notes = noTarNotes();
  for (const { name, offset, size } of followLinks([...tarEntries(file, wholeTar(file), notes)], notes)) {
    yield { name, data: slice(offset, size) };
  }
}
