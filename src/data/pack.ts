import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { LowrankError, throwIfAborted } from '../errors.js';
import { checkPaths, writes } from '../files/conflicts.js';
import { takeLock } from '../files/lock.js';
import { makeFolder } from '../make-folder.js';
import { createBadImages, type BadImage } from './bad-images.js';
import { defaultPixelLimit } from './decode.js';
import { inOrder } from './in-order.js';
import { shuffledOrder } from './order.js';
import { lockName, manifestName, type PackManifest, type PackSettings, type PackedShard } from './pack-manifest.js';
import { openWorkplace, saveJournal } from './pack-folder.js';
import { imageReads } from './paths.js';
import { createPool, defaultWorkers, type Pool } from './pool.js';
import { contentOf } from './source.js';
import { classListName } from './tar-source.js';
import { attempt, createTar, writeWhole } from './tar-write.js';
import type { ImageSource } from './types.js';

export interface PackOptions {
  readonly settings: PackSettings;
  readonly tool: PackManifest['tool'];
  /** Replaces a pack that is there already. */
  readonly force?: boolean;
  readonly maxBad?: number | undefined;
  readonly pixelLimit?: number | undefined;
  readonly workers?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (done: number, total: number) => void;
}

const imagesPerTask = 8;

/**
 * Writes a data set as WebDataset shards of reduced images: `shard-000000.tar` …, `classes.txt`, and last `pack.json`. Every
 * file appears whole. Stopped and called again with the same settings, it goes on after the last whole shard; the bytes are
 * the same as without the stop. A pack that is replaced (`force`) stays as it is until the new one is whole.
 * Throws USAGE where the folder is that of the data set, lies in it or holds it, OUTPUT where it holds something else or
 * another process packs into it, INPUT for too many bad images.
 */
export async function packSource(source: ImageSource, folder: string, options: PackOptions): Promise<PackManifest> {
  checkPaths([...imageReads(source.path, 'the images'), writes(folder, 'the folder of shards', '-o', 'folder')]);
  await attempt(folder, async () => makeFolder(folder));
  const lock = takeLock(join(folder, lockName), { busy: 'is packing into this folder' });
  try {
    return await packInto(source, folder, options);
  } finally {
    lock.release();
  }
}

async function packInto(source: ImageSource, output: string, options: PackOptions): Promise<PackManifest> {
  const { settings, pixelLimit = defaultPixelLimit, workers = defaultWorkers(), signal, onProgress } = options;
  if (source.targets !== undefined) {
    throw new LowrankError('UNSUPPORTED', 'the images have several classes each, and a pack holds one for each', {
      place: source.path,
      remedy: 'train on the data set as it is',
    });
  }
  if (source.arrays !== undefined) {
    throw new LowrankError('UNSUPPORTED', 'the data set holds arrays, and a pack holds pictures', {
      place: source.path,
      remedy: 'train on the data set as it is',
    });
  }
  const fingerprint = fingerprintOf(source);
  const classList = classListText(source);
  const { folder, done, finish } = await openWorkplace(output, { fingerprint, settings }, options.force === true);
  const bad = createBadImages(options.maxBad ?? 0, source.length, source.path);
  for (const image of done.bad) bad.add(image);
  const shards = [...done.shards];
  const { seed, shardSize } = settings;
  const order =
    seed === null
      ? Uint32Array.from({ length: source.length }, (_, index) => index)
      : shuffledOrder({ length: source.length, seed, epoch: 0, blocks: source.blocks });
  const shardCount = Math.ceil(order.length / shardSize);
  const save = (): Promise<void> => saveJournal(folder, { fingerprint, settings, shards, bad: bad.list });
  await save();
  const pool = createPool(workers);
  try {
    for (let shard = shards.length; shard < shardCount; shard++) {
      const first = shard * shardSize;
      shards.push(
        await writeShard({
          source,
          pool,
          path: join(folder, shardName(shard)),
          name: shardName(shard),
          first,
          indices: order.subarray(first, first + shardSize),
          settings,
          pixelLimit,
          signal,
          onBad: bad.add,
          onProgress: (done) => onProgress?.(first + done, source.length),
        }),
      );
      await save();
    }
  } finally {
    await pool.close();
  }
  await writeWhole(join(folder, classListName), classList);
  const manifest: PackManifest = {
    schema: 'lowrank.data-pack/1',
    tool: options.tool,
    settings,
    images: shards.reduce((sum, { images }) => sum + images, 0),
    classes: source.classes.length,
    bytes: shards.reduce((sum, { bytes }) => sum + bytes, 0),
    shards,
    bad: bad.list.map(({ name, reason }) => ({ name, reason })),
  };
  await writeWhole(join(folder, manifestName), `${JSON.stringify(manifest, null, 2)}\n`);
  await finish();
  return manifest;
}

interface ShardJob {
  readonly source: ImageSource;
  readonly pool: Pool;
  readonly path: string;
  readonly name: string;
  /** Of its first image in the pack: members are numbered through all shards. */
  readonly first: number;
  readonly indices: Uint32Array;
  readonly settings: PackSettings;
  readonly pixelLimit: number;
  readonly signal: AbortSignal | undefined;
  readonly onBad: (image: BadImage) => void;
  readonly onProgress: (done: number) => void;
}

async function writeShard(job: ShardJob): Promise<PackedShard> {
  const { source, pool, indices, settings, pixelLimit, signal } = job;
  const tar = await createTar(job.path);
  const extension = settings.format === 'jpeg' ? 'jpg' : 'ppm';
  let images = 0;
  let done = 0;
  try {
    const tasks = Math.ceil(indices.length / imagesPerTask);
    const results = inOrder(tasks, 2 * Math.max(1, pool.size) + 2, (task) =>
      pool.run('encode', async () => {
        throwIfAborted(signal);
        const part = [...indices.subarray(task * imagesPerTask, (task + 1) * imagesPerTask)];
        const contents = await Promise.all(part.map((index) => contentOf(source, index)));
        return { kind: 'encode', settings, pixelLimit, images: contents };
      }),
    );
    for await (const task of results) {
      for (const result of task) {
        const index = indices[done]!;
        if ('reason' in result) {
          job.onBad({ index, name: source.name(index), reason: result.reason });
        } else {
          const key = String(job.first + done).padStart(9, '0');
          await tar.add(`${key}.${extension}`, result.bytes);
          await tar.add(`${key}.cls`, Buffer.from(String(source.label(index)), 'latin1'));
          images += 1;
        }
        done += 1;
      }
      job.onProgress(done);
    }
    return { name: job.name, images, ...(await tar.commit()) };
  } finally {
    await tar.discard();
  }
}

function shardName(shard: number): string {
  return `shard-${String(shard).padStart(6, '0')}.tar`;
}

/** Of the classes, and the names and labels of all images: what the shards' members depend on, but for the files' bytes. */
function fingerprintOf(source: ImageSource): string {
  const hash = createHash('sha256').update(JSON.stringify(source.classes));
  for (let index = 0; index < source.length; index++) hash.update(`\n${source.label(index)} ${source.name(index)}`);
  return hash.digest('hex');
}

/** Identifier, tab, title: readable by `readClassList`. */
function classListText({ classes, titles }: ImageSource): string {
  const lines = classes.map((id, label) => {
    if (id.trim() !== id || /[\t\r\n]/.test(id)) {
      throw new LowrankError('UNSUPPORTED', `the class name ${JSON.stringify(id)} cannot be written to a class list`, {
        remedy: 'rename the folder',
      });
    }
    return `${id}\t${titles[label]!.replaceAll(/\s+/g, ' ')}\n`;
  });
  return lines.join('');
}
