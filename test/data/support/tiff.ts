/** What a TIFF (6.0) of bands holds, `samples[(y · width + x) · bands + band]`; uncompressed, little-endian, one strip. */
export interface Bands {
  readonly width: number;
  readonly height: number;
  readonly samples: Uint8Array | Uint16Array | Int16Array;
  /** PhotometricInterpretation. Default: 1, black is zero. */
  readonly photometric?: number;
}

export function tiff({ width, height, samples, photometric = 1 }: Bands): Buffer {
  const bands = samples.length / (width * height);
  const bits = 8 * samples.BYTES_PER_ELEMENT;
  const colors = photometric === 2 ? 3 : photometric === 5 ? 4 : 1;
  const [short, long] = [3, 4];
  const many = (value: number): number[] => Array.from({ length: bands }, () => value);
  const sampleFormat = samples instanceof Int16Array ? 2 : 1;
  const entries: (readonly [tag: number, type: number, values: readonly number[]])[] = [
    [256, long, [width]],
    [257, long, [height]],
    [258, short, many(bits)],
    [259, short, [1]],
    [262, short, [photometric]],
    [273, long, [0]],
    [277, short, [bands]],
    [278, long, [height]],
    [279, long, [samples.byteLength]],
    // Unassociated alpha in a picture of four bands, whatever in others.
    [338, short, many(bands === 4 && colors === 3 ? 2 : 0).slice(colors)],
    [339, short, many(sampleFormat)],
  ];
  const used = entries.filter(([, , values]) => values.length > 0);
  const start = 8;
  let extra = start + 2 + used.length * 12 + 4;
  const size = used.reduce((sum, [, type, values]) => sum + values.length * (type === short ? 2 : 4), extra);
  const pixelsAt = size + (size % 2);
  const file = Buffer.alloc(pixelsAt + samples.byteLength);
  file.write('II*\0', 'latin1');
  file.writeUInt32LE(start, 4);
  file.writeUInt16LE(used.length, start);
  for (const [index, [tag, type, values]] of used.entries()) {
    const at = start + 2 + index * 12;
    file.writeUInt16LE(tag, at);
    file.writeUInt16LE(type, at + 2);
    file.writeUInt32LE(values.length, at + 4);
    const step = type === short ? 2 : 4;
    const isInline = values.length * step <= 4;
    if (!isInline) file.writeUInt32LE(extra, at + 8);
    const to = isInline ? at + 8 : extra;
    for (const [position, value] of (tag === 273 ? [pixelsAt] : values).entries()) {
      file.writeUIntLE(value, to + position * step, step);
    }
    if (!isInline) extra += values.length * step;
  }
  new Uint8Array(file.buffer, file.byteOffset).set(
    new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength),
    pixelsAt,
  );
  return file;
}
