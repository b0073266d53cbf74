import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { LowrankError } from '../errors.js';
import type { EncodeSettings } from './tasks.js';

/** In the folder of a pack: what it is. It is written last. */
export const manifestName = 'pack.json';
/** In its place while the pack is being written. */
export const unfinishedName = 'pack.unfinished.json';

/** Held by the process that packs into the folder. */
export const lockName = 'pack.lock';

/** `pack.json`, a published contract. The same data set and settings give the same bytes. */
export interface PackManifest {
  readonly schema: 'lowrank.data-pack/1';
  readonly tool: { readonly name: 'lowrank'; readonly version: string };
  readonly settings: PackSettings;
  readonly images: number;
  readonly classes: number;
  readonly bytes: number;
  readonly shards: readonly PackedShard[];
  /** Images that were left out. */
  readonly bad: readonly { readonly name: string; readonly reason: string }[];
}

export interface PackSettings extends EncodeSettings {
  /** Images per shard. */
  readonly shardSize: number;
  /** Order of the images: shuffled by this seed; null: as in the data set. */
  readonly seed: number | null;
}

export interface PackedShard {
  readonly name: string;
  readonly images: number;
  readonly bytes: number;
  readonly sha256: string;
}

/** Throws INPUT where `folder` is a pack that was not finished: a part of the images would be missing, silently. */
export function checkPackFinished(folder: string): void {
  if (!existsSync(join(folder, unfinishedName))) return;
  throw new LowrankError('INPUT', 'the shards are unfinished', {
    place: folder,
    remedy: "run the same 'lowrank-data pack' again: it goes on where it stopped",
  });
}
