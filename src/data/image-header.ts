export type ImageFormat = 'jpeg' | 'png' | 'gif' | 'webp' | 'tiff' | 'heif' | 'bmp' | 'ppm' | 'pgm' | 'pbm';

/** What the first bytes of an image say, without decoding it. */
export interface ImageHeader {
  readonly format: ImageFormat;
  readonly width: number;
  readonly height: number;
  /** Components of a JPEG (1, 3, 4), channels of a PNG (a palette has 3), 3 for GIF, BMP and PPM, 1 for PGM and PBM. */
  readonly channels: number;
  /** Bits per channel. */
  readonly depth: number;
}
