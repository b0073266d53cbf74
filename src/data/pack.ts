import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { open, readFile, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder } from '../make-folder.js';
import { LowrankError, messageOf, throwIfAborted } from '../errors.js';
import { createBadImages } from './bad-images.js';
import type { BadImage } from './bad-images.js';
import { defaultPixelLimit } from './decode.js';
import { inOrder } from './in-order.js';
import { shuffledOrder } from './order.js';
import { manifestName, unfinishedName } from './pack-manifest.js';
import type { PackManifest, PackSettings, PackedShard } from './pack-manifest.js';
import { createPool, defaultWorkers } from './pool.js';
import type { Pool } from './pool.js';
import { contentOf } from './source.js';
import { classListName } from './tar-source.js';
import { attempt, createTar } from './tar-write.js';
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

/** What an unfinished pack needs to go on: which data set, which settings, which shards are done. */
interface Journal {
  readonly schema: 'lowrank.data-pack-unfinished/1';
  readonly fingerprint: string;
  readonly settings: PackSettings;
  readonly shards: readonly PackedShard[];
  readonly bad: readonly BadImage[];
}

const imagesPerTask = 8;

/** What a killed run leaves of a file that it had begun. */
const temporaryName = /^\.?(?:shard-\d{6}\.tar|pack(?:\.unfinished)?\.json|classes\.txt)\.[0-9a-f]{8}\.tmp$/;

/**
 * Writes a data set as WebDataset shards of reduced images: `shard-000000.tar` …, `classes.txt`, and last `pack.json`. Every
 * file appears whole. Stopped and called again with the same settings, it goes on after the last whole shard; the bytes are
 * the same as without the stop. Throws OUTPUT where the folder holds something else, INPUT for too many bad images.
 */
export async function packSource(source: ImageSource, folder: string, options: PackOptions): Promise<PackManifest> {
  const { settings, pixelLimit = defaultPixelLimit, workers = defaultWorkers(), signal, onProgress } = options;
  const fingerprint = fingerprintOf(source);
  const classList = classListText(source);
  const journal = await prepareFolder(folder, { fingerprint, settings }, options.force === true);
  const bad = createBadImages(options.maxBad ?? 0, source.length, source.path);
  for (const image of journal.bad) bad.add(image);
  const shards = [...journal.shards];
  const { seed, shardSize } = settings;
  const order =
    seed === null
      ? Uint32Array.from({ length: source.length }, (_, index) => index)
      : shuffledOrder({ length: source.length, seed, epoch: 0, blocks: source.blocks });
  const shardCount = Math.ceil(order.length / shardSize);
  const save = (): Promise<void> => {
    const state: Journal = { schema: 'lowrank.data-pack-unfinished/1', fingerprint, settings, shards, bad: bad.list };
    return writeWhole(join(folder, unfinishedName), `${JSON.stringify(state)}\n`);
  };
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
  await rm(join(folder, unfinishedName), { force: true });
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

/** Makes the folder ready; what was done there already with the same settings is kept. */
async function prepareFolder(
  folder: string,
  expected: Pick<Journal, 'fingerprint' | 'settings'>,
  force: boolean,
): Promise<Pick<Journal, 'shards' | 'bad'>> {
  await attempt(folder, async () => makeFolder(folder));
  const all = await attempt(folder, () => readdir(folder));
  const isTemporary = (name: string): boolean => temporaryName.test(name);
  const present = all.filter((name) => !isTemporary(name));
  const journal = present.includes(unfinishedName) ? await readJournal(join(folder, unfinishedName)) : undefined;
  const isSame =
    journal !== undefined &&
    journal.fingerprint === expected.fingerprint &&
    JSON.stringify(journal.settings) === JSON.stringify(expected.settings);
  const remove = async (names: readonly string[]): Promise<void> => {
    for (const name of names) await attempt(folder, () => rm(join(folder, name), { force: true }));
  };
  if (isSame && journal.shards.every(({ name }) => present.includes(name))) {
    await remove(all.filter(isTemporary));
    return journal;
  }
  if (present.length > 0 && !force) {
    const fact =
      journal === undefined
        ? 'the folder is not empty'
        : 'the folder holds an unfinished pack of other data or settings';
    throw new LowrankError('OUTPUT', fact, { place: folder, remedy: 'choose another folder, or pass --force' });
  }
  // Only what a pack consists of: --force is no licence to delete anything else.
  const own = present.filter((name) => /^shard-\d{6}\.tar$/.test(name) || [manifestName, classListName].includes(name));
  await remove([unfinishedName, ...own, ...all.filter(isTemporary)]);
  return { shards: [], bad: [] };
}

async function readJournal(path: string): Promise<Journal | undefined> {
  try {
    const value = JSON.parse(await readFile(path, 'utf8')) as Partial<Journal>;
    if (value.schema !== 'lowrank.data-pack-unfinished/1') throw new Error(`its schema is ${String(value.schema)}`);
    return value as Journal;
  } catch (error) {
    throw new LowrankError('FORMAT', `the state of the unfinished pack cannot be read: ${messageOf(error)}`, {
      place: path,
      remedy: 'remove it, and pass --force',
      cause: error,
    });
  }
}

/** A small file, whole or not at all. */
async function writeWhole(path: string, text: string): Promise<void> {
  const temporary = `${path}.${randomBytes(4).toString('hex')}.tmp`;
  try {
    await attempt(path, async () => {
      const file = await open(temporary, 'wx');
      try {
        await file.writeFile(text);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, path);
    });
  } finally {
    if (existsSync(temporary)) await rm(temporary, { force: true });
  }
}
