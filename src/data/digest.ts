import { createHash } from 'node:crypto';
import { throwIfAborted } from '../errors.js';
import { inOrder } from './in-order.js';
import type { ImageSource } from './types.js';

/** Images that are read at a time. */
const ahead = 8;

/**
 * SHA-256 of what a data set says, in hexadecimal: the classes, and of every image in its order the label and the bytes of the
 * file (or the pixels, where they are stored as they are). Not the names: where the files lie does not matter. All images are
 * read. Throws what the source throws, ABORTED.
 */
export async function digestSource(
  source: ImageSource,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<string> {
  const hash = createHash('sha256');
  hash.update(JSON.stringify(source.classes));
  const read = (index: number): ReturnType<ImageSource['read']> => {
    throwIfAborted(options.signal);
    return source.read(index);
  };
  for await (const image of inOrder(source.length, ahead, read)) {
    const { label } = image;
    if ('bytes' in image) {
      hash.update(JSON.stringify({ label, bytes: image.bytes.length }));
      hash.update(image.bytes);
    } else {
      const { data, ...format } = image.pixels;
      hash.update(JSON.stringify({ label, ...format }));
      hash.update(data);
    }
  }
  return hash.digest('hex');
}
