import { createHash } from 'node:crypto';
import type { ByteSource } from './source.js';

const piece = 1 << 22;

/** SHA-256 of a source, in hexadecimal. */
export function sha256(source: ByteSource): string {
  const hash = createHash('sha256');
  for (let at = 0; at < source.size; at += piece) hash.update(source.read(at, Math.min(at + piece, source.size)));
  return hash.digest('hex');
}
