import { createHash } from 'node:crypto';
import { type Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { LowrankError } from '../errors.js';
import { digestSource } from './digest.js';
import { unreadable } from '../files/regular.js';
import { inOrder } from './in-order.js';
import { pacer } from './source.js';
import type { ImageSource } from './types.js';

/** What tells whether a data set is still the one that it was, beside its names and labels. */
export interface DataStamp {
  /** Files that hold the images; of more than 100,000, every n-th is looked at. */
  readonly files: number;
  /** Bytes in them. */
  readonly bytes: number;
  /** Hash of the sizes, in order. */
  readonly sizes: string;
  /** Hash of the times of change in whole seconds, in order: copies keep no more than that, or not even that. */
  readonly times: string;
  /** The file that was changed last, and when (ISO 8601). */
  readonly newest: { readonly path: string; readonly time: string } | null;
  /** SHA-256 of labels and images (`digestSource`); null where it was not taken. */
  readonly content: string | null;
}

const mostFiles = 100_000;
const smallBytes = 256 * 2 ** 20;
const ahead = 32;

/**
 * The stamp of a data set. `content`: always, never, or (`small`) where the files have 256 MB at most. Throws INPUT for files
 * that cannot be read; ABORTED.
 */
export async function stampSource(
  source: ImageSource,
  options: { readonly content: 'always' | 'small' | 'never'; readonly signal?: AbortSignal | undefined },
): Promise<DataStamp> {
  const { content, signal } = options;
  const paths = filesOf(source);
  const stride = Math.max(1, Math.ceil(paths.length / mostFiles));
  const pace = pacer({ signal });
  const [sizes, times] = [createHash('sha256'), createHash('sha256')];
  let bytes = 0;
  let newest: { readonly path: string; readonly seconds: number } | undefined;
  const looked = Math.ceil(paths.length / stride);
  for await (const { path, size, mtimeMs } of inOrder(looked, ahead, (index) => look(paths[index * stride]!))) {
    await pace(0);
    const seconds = Math.floor(mtimeMs / 1000);
    sizes.update(`${size}\n`);
    times.update(`${seconds}\n`);
    bytes += size;
    if (newest === undefined || seconds > newest.seconds) newest = { path, seconds };
  }
  const isWanted = content === 'always' || (content === 'small' && bytes <= smallBytes && stride === 1);
  return {
    files: paths.length,
    bytes,
    sizes: sizes.digest('hex'),
    times: times.digest('hex'),
    newest: newest === undefined ? null : { path: newest.path, time: new Date(newest.seconds * 1000).toISOString() },
    content: isWanted ? await digest(source, content, signal) : null,
  };
}

/** Images that cannot be read are no reason to stop where nobody asked for a hash: a training may do without them. */
async function digest(source: ImageSource, content: string, signal: AbortSignal | undefined): Promise<string | null> {
  try {
    return await digestSource(source, { signal });
  } catch (error) {
    const isBad = error instanceof LowrankError && error.code !== 'ABORTED';
    if (isBad && content !== 'always') return null;
    throw error;
  }
}

/** Paths of the files that images lie in, each once, in order. */
function filesOf(source: ImageSource): readonly string[] {
  const paths = new Set(source.files);
  for (let i = 0; i < source.length; i++) {
    const extent = source.locate(i);
    if (extent !== undefined) paths.add(extent.path);
  }
  return [...paths];
}

async function look(path: string): Promise<Pick<Stats, 'size' | 'mtimeMs'> & { readonly path: string }> {
  try {
    const { size, mtimeMs } = await stat(path);
    return { path, size, mtimeMs };
  } catch (error) {
    throw unreadable(path, error, 'file or folder');
  }
}
