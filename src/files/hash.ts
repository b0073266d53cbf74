import { createHash } from 'node:crypto';
import { drain, type Pieces } from './pieces.js';
import { type ByteSource, fileSource } from './source.js';

const piece = 1 << 20;

/** SHA-256 of a source, in hexadecimal. */
export function sha256(source: ByteSource): string {
  return drain(sha256InPieces(source));
}

/** SHA-256 of a file, in hexadecimal; yields the bytes read so far. Throws INPUT. */
export function* fileSha256(path: string): Pieces<string> {
  const source = fileSource(path);
  try {
    return yield* sha256InPieces(source);
  } finally {
    source.close();
  }
}

/** Read through one buffer: a fresh one for each piece takes twice as long. */
function* sha256InPieces(source: ByteSource): Pieces<string> {
  const hash = createHash('sha256');
  const buffer = new Uint8Array(Math.min(piece, source.size));
  for (let at = 0; at < source.size; at += piece) {
    const part = buffer.subarray(0, Math.min(piece, source.size - at));
    source.readInto(part, at);
    hash.update(part);
    yield at + part.length;
  }
  return hash.digest('hex');
}
