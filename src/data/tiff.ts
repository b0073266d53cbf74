/** Where the values of a tag of a TIFF lie, and the first of them. */
interface Tag {
  readonly at: number;
  readonly value: number;
}

/** Tags of TIFF 6.0, and what some of their values mean. */
const tags = { photometric: 262, sampleFormat: 339 } as const;
const rgb = 2;
const unsigned = 1;
/** White is 0, black is 0, red green blue, inks. */
const inks = 5;
const plainSamples: ReadonlySet<number> = new Set([0, 1, rgb, inks]);
const short = 3;

/** What the first directory of a TIFF says of its samples; undefined where it cannot be made out. */
export interface TiffSamples {
  /** Whether samples are values of their own, each of its band: no places in a palette, no luminance and chrominance. */
  readonly isPlain: boolean;
  readonly areInks: boolean;
  /** Whole numbers from 0. */
  readonly areUnsigned: boolean;
}

export function tiffSamples(bytes: Uint8Array): TiffSamples | undefined {
  const photometric = shortTag(bytes, tags.photometric)?.value;
  if (photometric === undefined) return undefined;
  return {
    isPlain: plainSamples.has(photometric),
    areInks: photometric === inks,
    areUnsigned: (shortTag(bytes, tags.sampleFormat)?.value ?? unsigned) === unsigned,
  };
}

/** The same file, said to be of red, green, blue and further bands: libvips gives these as they are stored, where it makes a picture of grey ones. */
export function saidToBeRgb(bytes: Uint8Array): Uint8Array {
  const tag = shortTag(bytes, tags.photometric);
  if (tag === undefined || tag.value === rgb) return bytes;
  const copy = new Uint8Array(bytes);
  viewOf(copy).setUint16(tag.at, rgb, isLittleEndian(bytes));
  return copy;
}

/** A tag of 16-bit numbers in the first directory, of TIFF 6.0 or BigTIFF; undefined where there is none. */
function shortTag(bytes: Uint8Array, wanted: number): Tag | undefined {
  const view = viewOf(bytes);
  const isLittle = isLittleEndian(bytes);
  const u16 = (at: number): number => view.getUint16(at, isLittle);
  const offset = (at: number, isBig: boolean): number =>
    isBig ? Number(view.getBigUint64(at, isLittle)) : view.getUint32(at, isLittle);
  try {
    const isBig = u16(2) === 43;
    const start = offset(isBig ? 8 : 4, isBig);
    const count = isBig ? offset(start, true) : u16(start);
    const [first, size] = isBig ? [start + 8, 20] : [start + 2, 12];
    for (let entry = first; entry < first + count * size; entry += size) {
      if (u16(entry) !== wanted) continue;
      if (u16(entry + 2) !== short) return undefined;
      const values = offset(entry + 4, isBig);
      const inline = entry + (isBig ? 12 : 8);
      const at = values * 2 > (isBig ? 8 : 4) ? offset(inline, isBig) : inline;
      return { at, value: u16(at) };
    }
  } catch (error) {
    // A directory beyond the end of the file: the decoder says what is damaged.
    if (!(error instanceof RangeError)) throw error;
  }
  return undefined;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function isLittleEndian(bytes: Uint8Array): boolean {
  return bytes[0] === 0x49;
}
