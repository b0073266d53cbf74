import { gzipSync } from 'node:zlib';

/** An idx file, written independently of the product's own reader. */
export function idxFile(dims: readonly number[], data: ArrayLike<number>, type = 0x08): Buffer {
  const header = Buffer.alloc(4 + 4 * dims.length);
  header.set([0, 0, type, dims.length]);
  dims.forEach((dim, index) => header.writeUInt32BE(dim, 4 + 4 * index));
  return Buffer.concat([header, Uint8Array.from(data)]);
}

/** Pictures of `side`² pixels with a bar of one of ten directions, and their labels, 0 to 9 in turn. */
function bars(count: number, side: number, seed = 0): { readonly images: Buffer; readonly labels: Buffer } {
  const pixels: number[] = [];
  const labels = Array.from({ length: count }, (_, index) => index % 10);
  for (const [index, label] of labels.entries()) {
    const angle = (Math.PI * label) / 10;
    const shift = 1.5 * Math.sin(7 * index + seed);
    for (let y = 0; y < side; y++) {
      for (let x = 0; x < side; x++) {
        const [dx, dy] = [x - (side - 1) / 2, y - (side - 1) / 2];
        const distance = Math.abs(dx * Math.sin(angle) - dy * Math.cos(angle) + shift);
        pixels.push(distance < 1.5 ? 250 - ((11 * x + 7 * y + index) % 40) : 0);
      }
    }
  }
  return { images: idxFile([count, side, side], pixels), labels: idxFile([count], labels) };
}

/** Files of a data set as MNIST has them, all compressed. */
export function idxTree(train: number, test: number, side: number): Readonly<Record<string, Buffer>> {
  const [learned, shown] = [bars(train, side), bars(test, side, 1)];
  return {
    'train-images-idx3-ubyte.gz': gzipSync(learned.images),
    'train-labels-idx1-ubyte.gz': gzipSync(learned.labels),
    't10k-images-idx3-ubyte.gz': gzipSync(shown.images),
    't10k-labels-idx1-ubyte.gz': gzipSync(shown.labels),
  };
}
