import type { ImageHeader } from './image-header.js';

/** Frames that libjpeg decodes: sequential and progressive, Huffman and arithmetic (SOF0, 1, 2, 9, 10). */
const decoded = new Set([0xc0, 0xc1, 0xc2, 0xc9, 0xca]);

/** Markers with a segment that libjpeg passes over: tables, restart interval, number of lines, application data, comments. */
function hasSegment(marker: number): boolean {
  const isTable = marker === 0xc4 || marker === 0xcc || (marker >= 0xdb && marker <= 0xdd);
  return isTable || (marker >= 0xe0 && marker <= 0xef) || marker === 0xfe;
}

/** TEM and the restart markers stand alone. */
function isAlone(marker: number): boolean {
  return marker === 0x01 || (marker >= 0xd0 && marker <= 0xd7);
}

/**
 * The frame header of a JPEG (ITU T.81, annex B), found by the rules of libjpeg, which decodes it: bytes between segments
 * are passed over, 0xFF may be repeated, 0xFF00 is no marker, and a marker that it knows no rule for (all from 0x02 to 0xBF
 * among them) ends the search. undefined where it would find no frame, or one that it does not decode.
 */
export function jpegHeader(bytes: Uint8Array): ImageHeader | undefined {
  const word = (at: number): number => (bytes[at]! << 8) | bytes[at + 1]!;
  let at = 2;
  for (;;) {
    at = bytes.indexOf(0xff, at);
    if (at < 0) return undefined;
    while (bytes[at] === 0xff) at += 1;
    const marker = bytes[at];
    at += 1;
    if (marker === undefined) return undefined;
    if (marker === 0 || isAlone(marker)) continue;
    if (at + 2 > bytes.length) return undefined;
    if (decoded.has(marker)) return frameHeader(bytes.subarray(at));
    if (!hasSegment(marker)) return undefined;
    at += Math.max(2, word(at));
  }
}

/** Length, precision, height, width, number of components, three bytes for each of them. */
function frameHeader(segment: Uint8Array): ImageHeader | undefined {
  if (segment.length < 8) return undefined;
  const view = new DataView(segment.buffer, segment.byteOffset, segment.byteLength);
  const [height, width, channels] = [view.getUint16(3), view.getUint16(5), segment[7]!];
  if (width === 0 || height === 0 || channels === 0 || view.getUint16(0) !== 8 + 3 * channels) return undefined;
  return { format: 'jpeg', width, height, channels, depth: segment[2]! };
}

/** Whether the bytes of a JPEG end with its end marker, zeros and line breaks after it aside: else it may be cut. */
export function hasJpegEnd(bytes: Uint8Array): boolean {
  let end = bytes.length;
  const earliest = Math.max(2, end - 64);
  while (end > earliest && (bytes[end - 1] === 0 || bytes[end - 1] === 0x0a || bytes[end - 1] === 0x0d)) end -= 1;
  return bytes[end - 2] === 0xff && bytes[end - 1] === 0xd9;
}
