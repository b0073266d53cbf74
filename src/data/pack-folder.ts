import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { LowrankError, messageOf } from '../errors.js';
import { readRegularText } from '../files/regular.js';
import { temporaryName } from '../files/temporary.js';
import type { BadImage } from './bad-images.js';
import { lockName, manifestName, type PackedShard, type PackSettings, unfinishedName } from './pack-manifest.js';
import { classListName } from './tar-source.js';
import { attempt, writeWhole } from './tar-write.js';

/** What an unfinished pack needs to go on: which data set, which settings, which shards are done. */
interface Journal {
  readonly schema: 'lowrank.data-pack-unfinished/1';
  readonly fingerprint: string;
  readonly settings: PackSettings;
  readonly shards: readonly PackedShard[];
  readonly bad: readonly BadImage[];
}

/** In place of the journal while a new pack, which is whole, takes the place of an old one. */
interface Replacement {
  readonly schema: 'lowrank.data-pack-replacement/1';
  /** The folder in the pack's where the new one lies, but for what has its place already. */
  readonly from: string;
}

export type Progress = Omit<Journal, 'schema'>;

/** Where a pack is written. */
export interface Workplace {
  /** The folder of the pack; where that holds one already, a folder in it, until the new one is whole. */
  readonly folder: string;
  /** What an earlier run has done there, with the same images and settings. */
  readonly done: Pick<Journal, 'shards' | 'bad'>;
  /** Once the pack is whole there: puts it into its place. */
  finish(): Promise<void>;
}

const marks = '[0-9a-f]{6}-\\d+-[0-9a-f]{8}-[0-9a-f]{8}';
const files = '(?:shard-\\d{6}\\.tar|pack(?:\\.unfinished)?\\.json|classes\\.txt)';
/** What a killed run leaves of a file that it had begun, in this version and in older ones. */
const temporary = new RegExp(`^(?:\\.${files}\\.${marks}|\\.?${files}\\.[0-9a-f]{8})\\.tmp$`);
/** And of a new pack that was to replace one. */
const staging = new RegExp(`^\\.pack\\.${marks}\\.tmp$`);
const shard = /^shard-\d{6}\.tar$/;

const isOwn = (name: string): boolean =>
  shard.test(name) || [manifestName, classListName, unfinishedName].includes(name);

/**
 * Makes the folder, which is locked, ready for a pack. What was done there with the same images and settings is gone on
 * with. Throws OUTPUT where it holds something else, unless `force`; what is no part of a pack stays even then.
 */
export async function openWorkplace(
  folder: string,
  expected: Pick<Journal, 'fingerprint' | 'settings'>,
  force: boolean,
): Promise<Workplace> {
  await completeReplacement(folder);
  const all = await attempt(folder, () => readdir(folder));
  // No other process is at work here.
  for (const name of all.filter((each) => temporary.test(each))) await remove(join(folder, name));
  const staged = all.filter((name) => staging.test(name));
  const present = all.filter((name) => name !== lockName && !temporary.test(name) && !staging.test(name));
  const journal = readJournal(folder);
  if (isSame(journal, expected, present)) {
    for (const name of staged) await remove(join(folder, name));
    return { folder, done: journal!, finish: () => remove(join(folder, unfinishedName)) };
  }
  if (present.length > 0 && !force) {
    const fact =
      journal === undefined
        ? 'the folder is not empty'
        : 'the folder holds an unfinished pack of other data or settings';
    throw new LowrankError('OUTPUT', fact, { place: folder, remedy: 'choose another folder, or pass --force' });
  }
  if (present.some(isOwn)) return replacing(folder, expected, staged);
  for (const name of staged) await remove(join(folder, name));
  return { folder, done: { shards: [], bad: [] }, finish: () => remove(join(folder, unfinishedName)) };
}

export function saveJournal(folder: string, progress: Progress): Promise<void> {
  const state: Journal = { schema: 'lowrank.data-pack-unfinished/1', ...progress };
  return writeWhole(join(folder, unfinishedName), `${JSON.stringify(state)}\n`);
}

/** A new pack beside the old one; one that a killed run began, with the same images and settings, is taken over. */
async function replacing(
  folder: string,
  expected: Pick<Journal, 'fingerprint' | 'settings'>,
  staged: readonly string[],
): Promise<Workplace> {
  const place = temporaryName(join(folder, 'pack'));
  let done: Workplace['done'] | undefined;
  for (const name of staged) {
    const path = join(folder, name);
    const names = await attempt(path, () => readdir(path));
    let journal: Journal | undefined;
    try {
      journal = done === undefined ? readJournal(path) : undefined;
    } catch {
      // Torn: it is begun anew.
    }
    if (isSame(journal, expected, names)) {
      done = journal;
      await attempt(path, () => rename(path, place));
      for (const each of names.filter((file) => temporary.test(file))) await remove(join(place, each));
    } else await remove(path);
  }
  if (done === undefined) await attempt(place, () => mkdir(place));
  return {
    folder: place,
    done: done ?? { shards: [], bad: [] },
    async finish() {
      await remove(join(place, unfinishedName));
      const replacement: Replacement = { schema: 'lowrank.data-pack-replacement/1', from: basename(place) };
      await writeWhole(join(folder, unfinishedName), `${JSON.stringify(replacement)}\n`);
      await completeReplacement(folder);
    },
  };
}

/** Puts a new pack that is whole into the place of the old one, or goes on with it where it was stopped. */
async function completeReplacement(folder: string): Promise<void> {
  const from = replacementIn(folder);
  if (from === undefined) return;
  const place = join(folder, from);
  if (existsSync(place)) {
    const names = await attempt(place, () => readdir(place));
    // The manifest last: as long as it is not there, the pack is not whole.
    const ordered = [
      ...names.filter((name) => name !== manifestName),
      ...names.filter((name) => name === manifestName),
    ];
    for (const name of ordered) await attempt(folder, () => rename(join(place, name), join(folder, name)));
    await remove(place);
  }
  const { shards } = JSON.parse(readRegularText(join(folder, manifestName))) as Pick<Progress, 'shards'>;
  const own = new Set(shards.map(({ name }) => name));
  for (const name of await attempt(folder, () => readdir(folder))) {
    if (shard.test(name) && !own.has(name)) await remove(join(folder, name));
  }
  await remove(join(folder, unfinishedName));
}

/** Whether a journal is of these images and settings, and all its shards are there. */
function isSame(
  journal: Journal | undefined,
  expected: Pick<Journal, 'fingerprint' | 'settings'>,
  names: readonly string[],
): boolean {
  return (
    journal !== undefined &&
    journal.fingerprint === expected.fingerprint &&
    JSON.stringify(journal.settings) === JSON.stringify(expected.settings) &&
    journal.shards.every(({ name }) => names.includes(name))
  );
}

function readJournal(folder: string): Journal | undefined {
  const state = readState(folder);
  return state?.schema === 'lowrank.data-pack-unfinished/1' ? state : undefined;
}

function replacementIn(folder: string): string | undefined {
  const state = readState(folder);
  return state?.schema === 'lowrank.data-pack-replacement/1' ? state.from : undefined;
}

function readState(folder: string): Journal | Replacement | undefined {
  const path = join(folder, unfinishedName);
  if (!existsSync(path)) return undefined;
  try {
    const state = JSON.parse(readRegularText(path)) as Partial<Journal> | Partial<Replacement> | null;
    if (state?.schema === 'lowrank.data-pack-unfinished/1' && Array.isArray(state.shards) && Array.isArray(state.bad)) {
      return state as Journal;
    }
    if (state?.schema === 'lowrank.data-pack-replacement/1' && staging.test(String(state.from))) {
      return state as Replacement;
    }
    throw new Error(`its schema is ${String(state?.schema)}`);
  } catch (error) {
    throw new LowrankError('FORMAT', `the state of the unfinished pack cannot be read: ${messageOf(error)}`, {
      place: path,
      remedy: 'remove it, and pass --force',
      cause: error,
    });
  }
}

function remove(path: string): Promise<void> {
  return attempt(path, () => rm(path, { recursive: true, force: true }));
}
