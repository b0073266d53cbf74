/** Interleaved 8-bit RGB: `data[(y · width + x) · 3 + c]`. */
export interface Pixels {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** A rectangle in pixels; `right` and `bottom` are exclusive. Fractions of pixels are allowed. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** Interleaved pixels of 1 (grey), 2 (grey, alpha), 3 or 4 (RGB, alpha) channels as RGB: grey is repeated, alpha dropped. */
export function toRgb(data: Uint8Array, channels: number): Uint8Array {
  if (channels === 3) return data;
  const count = Math.floor(data.length / channels);
  const rgb = new Uint8Array(count * 3);
  const [green, blue] = channels < 3 ? [0, 0] : [1, 2];
  for (let from = 0, to = 0; to < rgb.length; from += channels, to += 3) {
    rgb[to] = data[from]!;
    rgb[to + 1] = data[from + green]!;
    rgb[to + 2] = data[from + blue]!;
  }
  return rgb;
}

/**
 * The luma of ITU-R BT.601, 0.299 R + 0.587 G + 0.114 B, in all three channels, rounded as Pillow's `convert("L")` rounds it:
 * what is grey stays as it is.
 */
export function toGrey({ data, width, height }: Pixels): Pixels {
  const grey = new Uint8Array(data.length);
  for (let at = 0; at < grey.length; at += 3) {
    const luma = (19_595 * data[at]! + 38_470 * data[at + 1]! + 7_471 * data[at + 2]! + 0x8000) >>> 16;
    grey[at] = grey[at + 1] = grey[at + 2] = luma;
  }
  return { data: grey, width, height };
}

/**
 * CMYK (0 = no ink) as RGB the way Pillow's `convert("RGB")` does it, without a colour profile: with w = 255 − K,
 * R = w − C · w / 255, the quotient rounded by (p + 128 + ((p + 128) >> 8)) >> 8.
 */
export function cmykToRgb(cmyk: Uint8Array): Uint8Array {
  const rgb = new Uint8Array((cmyk.length / 4) * 3);
  for (let from = 0, to = 0; to < rgb.length; from += 4, to += 3) {
    const white = 255 - cmyk[from + 3]!;
    for (let channel = 0; channel < 3; channel++) {
      const product = cmyk[from + channel]! * white + 128;
      rgb[to + channel] = Math.max(0, white - (((product >> 8) + product) >> 8));
    }
  }
  return rgb;
}
