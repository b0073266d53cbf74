interface BitmapSpec {
  readonly width: number;
  readonly height: number;
  readonly bits: number;
  /** Indices into the palette, words of 16 bits, or RGB; from the top. */
  readonly data: ArrayLike<number>;
  readonly palette?: readonly (readonly number[])[];
  readonly masks?: readonly number[];
  readonly headerSize?: number;
  readonly isTopDown?: boolean;
}

/** A Windows bitmap, or with a header of 12 bytes one of OS/2. */
export function bmp(spec: BitmapSpec): Buffer {
  const { width, height, bits, data, palette = [], masks = [], headerSize = 40, isTopDown = false } = spec;
  const isOld = headerSize === 12;
  const stride = Math.ceil((width * bits) / 32) * 4;
  const pixels = Buffer.alloc(stride * height);
  for (let y = 0; y < height; y++) {
    const row = pixels.subarray((isTopDown ? y : height - 1 - y) * stride);
    for (let x = 0; x < width; x++) {
      const at = y * width + x;
      if (bits < 8) row[(x * bits) >> 3]! |= data[at]! << (8 - bits - ((x * bits) % 8));
      else if (bits === 8) row[x] = data[at]!;
      else if (bits === 16) row.writeUInt16LE(data[at]!, 2 * x);
      else row.set([data[3 * at + 2]!, data[3 * at + 1]!, data[3 * at]!], (x * bits) / 8);
    }
  }
  const header = Buffer.alloc(headerSize);
  header.writeUInt32LE(headerSize, 0);
  if (isOld) {
    for (const [index, value] of [width, height, 1, bits].entries()) header.writeUInt16LE(value, 4 + 2 * index);
  } else {
    header.writeInt32LE(width, 4);
    header.writeInt32LE(isTopDown ? -height : height, 8);
    header.writeUInt16LE(1, 12);
    header.writeUInt16LE(bits, 14);
    header.writeUInt32LE(masks.length > 0 ? 3 : 0, 16);
    header.writeUInt32LE(palette.length, 32);
  }
  // OS/2 has no count: the palette is whole.
  const colours = isOld ? Array.from({ length: 1 << bits }, (_, index) => palette[index] ?? [0, 0, 0]) : palette;
  const list = Buffer.from(colours.flatMap(([r, g, b]) => (isOld ? [b!, g!, r!] : [b!, g!, r!, 0])));
  const fields = Buffer.alloc(4 * masks.length);
  for (const [index, mask] of masks.entries()) fields.writeUInt32LE(mask, 4 * index);
  const file = Buffer.alloc(14);
  file.write('BM');
  file.writeUInt32LE(14 + headerSize + fields.length + list.length, 10);
  return Buffer.concat([file, header, fields, list, pixels]);
}
