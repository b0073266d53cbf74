import { LowrankError, messageOf } from '../errors.js';
import { loadKoffi } from './c-api/koffi.js';

/** Decodes a whole JPEG of `width` × `height` pixels to interleaved RGB; undefined where the library has any complaint. */
export type JpegDecoder = (bytes: Uint8Array, width: number, height: number) => Uint8Array | undefined;

const pixelFormatRgb = 0;
/** TJFLAG_ACCURATEDCT: the transform that Pillow and libvips use, so that the pixels are the same. */
const accurateTransform = 4096;

/**
 * A decoder of the TurboJPEG library (libjpeg-turbo 1.2 or newer) at `path`. Its memory is freed with the process. Throws
 * RUNTIME where the library cannot be loaded.
 */
export async function loadTurboJpeg(path: string): Promise<JpegDecoder> {
  const koffi = await loadKoffi();
  try {
    const library = koffi.load(path);
    const create = library.func('void *tjInitDecompress()') as () => unknown;
    const decompress = library.func(
      'int tjDecompress2(void *handle, void *jpeg, unsigned long size, void *pixels, int width, int pitch, int height, int format, int flags)',
    ) as (...words: readonly unknown[]) => number;
    const handle = create();
    if (handle === null) throw new Error('no decoder could be made');
    return (bytes, width, height) => {
      const pixels = Buffer.allocUnsafeSlow(width * height * 3);
      const size = bytes.length;
      const failed = decompress(handle, bytes, size, pixels, width, 0, height, pixelFormatRgb, accurateTransform);
      return failed === 0 ? pixels : undefined;
    };
  } catch (error) {
    throw new LowrankError('RUNTIME', `TurboJPEG cannot be loaded: ${messageOf(error)}`, {
      place: path,
      remedy: 'give the path of libturbojpeg in LOWRANK_TURBOJPEG, or leave it unset',
      cause: error,
    });
  }
}
