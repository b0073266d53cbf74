/** What the first bytes of an image say, without decoding it. */
export interface ImageHeader {
  readonly format: 'jpeg' | 'png' | 'ppm';
  readonly width: number;
  readonly height: number;
  /** Components of a JPEG (1, 3, 4), channels of a PNG (a palette has 3), 3 for PPM. */
  readonly channels: number;
  /** Bits per channel. */
  readonly depth: number;
  /** Where the data starts (PPM only). */
  readonly dataAt: number;
}

/** The header of a JPEG, PNG or binary PPM; undefined for other formats, and where it cannot be made out. */
export function readImageHeader(bytes: Uint8Array): ImageHeader | undefined {
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return jpegHeader(bytes);
  if (bytes[0] === 0x89 && bytes[1] === 0x50 && bytes[2] === 0x4e && bytes[3] === 0x47) return pngHeader(bytes);
  if (bytes[0] === 0x50 && bytes[1] === 0x36) return ppmHeader(bytes);
  return undefined;
}

/** Walks the segments (ITU T.81, annex B) to the frame header. */
function jpegHeader(bytes: Uint8Array): ImageHeader | undefined {
  const word = (at: number): number => (bytes[at]! << 8) | bytes[at + 1]!;
  let at = 2;
  while (at + 9 < bytes.length) {
    if (bytes[at] !== 0xff) return undefined;
    const marker = bytes[at + 1]!;
    if (marker === 0xff || marker === 0x01 || (marker >= 0xd0 && marker <= 0xd7)) {
      at += marker === 0xff ? 1 : 2;
      continue;
    }
    const isFrame = marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
    if (isFrame) {
      const [height, width] = [word(at + 5), word(at + 7)];
      const channels = bytes[at + 9]!;
      if (width === 0 || height === 0) return undefined;
      return { format: 'jpeg', width, height, channels, depth: bytes[at + 4]!, dataAt: at };
    }
    if (marker === 0xd9 || marker === 0xda) return undefined;
    at += 2 + word(at + 2);
  }
  return undefined;
}

function pngHeader(bytes: Uint8Array): ImageHeader | undefined {
  if (bytes.length < 33) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const channels = [1, 0, 3, 3, 2, 0, 4][bytes[25]!] ?? 0;
  const [width, height] = [view.getUint32(16), view.getUint32(20)];
  if (channels === 0 || width === 0 || height === 0) return undefined;
  return { format: 'png', width, height, channels, depth: bytes[24]!, dataAt: 33 };
}

/** Binary PPM of 8 bits: "P6", width, height, 255, one white space, pixels. Comments start with #. */
function ppmHeader(bytes: Uint8Array): ImageHeader | undefined {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 512)).toString('latin1');
  const match = /^P6(?:\s|#[^\n]*\n)+(\d{1,9})(?:\s|#[^\n]*\n)+(\d{1,9})(?:\s|#[^\n]*\n)+255\s/.exec(text);
  if (match === null) return undefined;
  const [width, height] = [Number(match[1]), Number(match[2])];
  if (width === 0 || height === 0) return undefined;
  return { format: 'ppm', width, height, channels: 3, depth: 8, dataAt: match[0].length };
}

/** Whether the bytes of a JPEG end with its end marker, zeros and line breaks after it aside: else it may be cut. */
export function hasJpegEnd(bytes: Uint8Array): boolean {
  let end = bytes.length;
  const earliest = Math.max(2, end - 64);
  while (end > earliest && (bytes[end - 1] === 0 || bytes[end - 1] === 0x0a || bytes[end - 1] === 0x0d)) end -= 1;
  return bytes[end - 2] === 0xff && bytes[end - 1] === 0xd9;
}
