import type { WrittenModel } from '../contracts/convert.js';
import { formatBytes } from './format.js';

/** Which files a model was written to, and how large they are together. */
export function writtenText({ path, bytes, data }: WrittenModel): string {
  return `${path}${data === undefined ? '' : ` and ${data.path}`}, ${formatBytes(bytes)}`;
}
