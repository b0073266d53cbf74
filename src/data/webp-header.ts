import type { ImageHeader } from './image-header.js';

/**
 * The canvas of a WebP (RFC 9649): that of the extended header, else that of its only image, lossy or lossless. undefined
 * where the file is none of these.
 */
export function webpHeader(bytes: Uint8Array): ImageHeader | undefined {
  if (bytes.length < 30) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const header = (width: number, height: number, hasAlpha: boolean): ImageHeader | undefined =>
    width === 0 || height === 0 ? undefined : { format: 'webp', width, height, channels: hasAlpha ? 4 : 3, depth: 8 };
  const threeBytes = (at: number): number => view.getUint16(at, true) | (bytes[at + 2]! << 16);
  switch (Buffer.from(bytes.buffer, bytes.byteOffset + 12, 4).toString('latin1')) {
    case 'VP8X':
      return header(threeBytes(24) + 1, threeBytes(27) + 1, (bytes[20]! & 0x10) !== 0);
    case 'VP8L': {
      const word = view.getUint32(21, true);
      return header((word & 0x3fff) + 1, ((word >>> 14) & 0x3fff) + 1, ((word >>> 28) & 1) === 1);
    }
    case 'VP8 ':
      return header(view.getUint16(26, true) & 0x3fff, view.getUint16(28, true) & 0x3fff, false);
    default:
      return undefined;
  }
}
