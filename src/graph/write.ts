import { randomBytes } from 'node:crypto';
import { existsSync, rmSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { LowrankError } from '../errors.js';
import type { ExternalLocation, Tensor } from '../onnx/tensor.js';
import { type Chunk, totalLength } from '../onnx/wire.js';
import { checkWritable, type StagedFile, stageFile } from '../onnx/write-file.js';
import { encodeModel } from './encode.js';
import type { Model } from './model.js';
import { readModel } from './read.js';

export interface WriteOptions {
  /** Replace an existing file. */
  readonly force?: boolean;
  /**
   * Where tensor data goes: `keep` (default) leaves external what was external and inline what was inline, and moves
   * large tensors out only where the file would pass 2 GiB; `inline`, `external` say it for all.
   */
  readonly dataLocation?: 'keep' | 'inline' | 'external';
}

export interface WrittenFile {
  readonly path: string;
  readonly bytes: number;
  /** The external data file, where there is one. */
  readonly dataPath: string | undefined;
  readonly dataBytes: number;
}

/** Protobuf cannot hold more than 2 GiB; some headroom for what other tools add. */
const largestModel = 2 ** 31 - 2 ** 20;
/** Tensors from this size on are worth a place in the data file. */
const externalThreshold = 1024;
const alignment = 4096;

/** All bytes of a model, data inline. For models known to be small; throws OUTPUT above 2 GiB. */
export function modelBytes(model: Model): Uint8Array {
  const chunks = encodeModel(model, inline);
  if (totalLength(chunks) > largestModel) {
    throw new LowrankError('OUTPUT', 'a model of more than 2 GiB needs external data', {
      remedy: 'write it to a file',
    });
  }
  return Buffer.concat(
    chunks.map((chunk) => (chunk instanceof Uint8Array ? chunk : chunk.source.read(chunk.start, chunk.end))),
  );
}

/** A model that lies complete beside its place. */
export interface StagedModel {
  /** Where it can be loaded from until `commit`: verify it there, so that a bad model never takes its name. */
  readonly temporaryPath: string;
  /** Puts the model in its place. */
  commit(): WrittenFile;
  /** Removes what was staged, the data file included. After `commit` it does nothing. */
  discard(): void;
}

/**
 * Writes a model to `path`, and its external data, where there is any, to `path`.data. Both appear whole or not at all;
 * an interrupted run leaves what was there before. Throws OUTPUT.
 */
export function writeModel(model: Model, path: string, options: WriteOptions = {}): WrittenFile {
  const staged = stageModel(model, path, options);
  try {
    return staged.commit();
  } finally {
    staged.discard();
  }
}

/** The first half of `writeModel`: everything but the final rename. Throws OUTPUT, leaving nothing behind. */
export function stageModel(model: Model, path: string, options: WriteOptions = {}): StagedModel {
  const force = options.force ?? false;
  checkWritable(path, force);
  const isExternal = chooseExternal(model, options.dataLocation ?? 'keep');
  // An existing data file may belong to the model that is being replaced: until then it must stay.
  const defaultName = `${basename(path)}.data`;
  const folder = dirname(path);
  const dataName = existsSync(join(folder, defaultName))
    ? `${basename(path)}.${randomBytes(4).toString('hex')}.data`
    : defaultName;
  const layout = layOut(model, isExternal);
  let data: StagedFile | undefined;
  let main: StagedFile | undefined;
  let isCommitted = false;
  const discard = (): void => {
    if (isCommitted) return;
    main?.discard();
    data?.discard();
    // The data file has a name that was free, so it is ours to remove.
    if (data !== undefined) rmSync(data.path, { force: true });
  };
  try {
    if (layout.chunks.length > 0) data = stageFile(join(folder, dataName), layout.chunks);
    const chunks = encodeModel(model, (tensor) => {
      const offset = layout.offsets.get(tensor);
      return offset === undefined ? inline(tensor) : [tensor.encodeExternal(dataName, offset)];
    });
    const size = totalLength(chunks);
    if (size > 2 ** 31 - 1) {
      throw new LowrankError('OUTPUT', `the model would have ${size} bytes, more than protobuf can hold`, {
        place: path,
      });
    }
    main = stageFile(path, chunks);
    data?.commit();
  } catch (error) {
    discard();
    throw error;
  }
  const staged = main;
  return {
    temporaryPath: staged.temporaryPath,
    discard,
    commit: () => {
      const replaced = force && existsSync(path) ? dataFilesOf(path) : [];
      staged.commit();
      isCommitted = true;
      for (const old of replaced) {
        const isOurs = basename(old).startsWith(`${basename(path)}.`) && basename(old).endsWith('.data');
        const isInput = [...inputFiles(model)].some((input) => resolve(input) === resolve(old));
        if (isOurs && !isInput && basename(old) !== dataName) rmSync(old, { force: true });
      }
      return { path, bytes: staged.bytes, dataPath: data?.path, dataBytes: data?.bytes ?? 0 };
    },
  };
}

const inline = (tensor: Tensor): readonly Chunk[] => {
  if (!tensor.isExternal) return tensor.encode();
  return tensor.renamed(tensor.name).encode();
};

/** Which tensors go to the data file. */
function chooseExternal(model: Model, location: 'keep' | 'inline' | 'external'): (tensor: Tensor) => boolean {
  const tensors = model.graph.initializers.map((value) => value.tensor!);
  const canMove = (tensor: Tensor): boolean => (tensor.byteLength ?? 0) >= externalThreshold;
  if (location === 'external') return canMove;
  const hadExternal = tensors.some((tensor) => tensor.isExternal);
  const isExternal =
    location === 'inline'
      ? (): boolean => false
      : (tensor: Tensor): boolean =>
          tensor.isExternal || (hadExternal && tensor.original === undefined && canMove(tensor));
  let inlineBytes = 0;
  for (const tensor of tensors) if (!isExternal(tensor)) inlineBytes += tensor.byteLength ?? 0;
  return inlineBytes > largestModel / 2 && inlineBytes > largestModel - 2 ** 28 ? canMove : isExternal;
}

interface Layout {
  readonly offsets: ReadonlyMap<Tensor, number>;
  readonly chunks: readonly Chunk[];
}

/** Tensors one behind the other on page boundaries; those that shared a range of their file share it again. */
function layOut(model: Model, isExternal: (tensor: Tensor) => boolean): Layout {
  const offsets = new Map<Tensor, number>();
  const chunks: Chunk[] = [];
  const shared = new Map<string, number>();
  let position = 0;
  for (const value of model.graph.initializers) {
    const tensor = value.tensor!;
    if (!isExternal(tensor)) continue;
    const key = rangeKey(tensor.external);
    const known = key === undefined ? undefined : shared.get(key);
    if (known !== undefined) {
      offsets.set(tensor, known);
      continue;
    }
    const length = tensor.byteLength ?? 0;
    if (length >= alignment && position % alignment !== 0) {
      const gap = alignment - (position % alignment);
      chunks.push(new Uint8Array(gap));
      position += gap;
    }
    offsets.set(tensor, position);
    if (key !== undefined) shared.set(key, position);
    chunks.push(tensor.payload());
    position += length;
  }
  return { offsets, chunks };
}

function rangeKey(external: ExternalLocation | undefined): string | undefined {
  return external === undefined ? undefined : `${external.location}:${external.range.start}:${external.range.end}`;
}

/** Data files that the model at `path` refers to; none where it cannot be read. */
function dataFilesOf(path: string): string[] {
  try {
    const old = readModel(path);
    try {
      const names = old.graph.initializers.map((value) => value.tensor!.external?.location);
      return [...new Set(names.filter((name) => name !== undefined))].map((name) => join(dirname(path), name));
    } finally {
      old.file?.close();
    }
  } catch {
    return [];
  }
}

function* inputFiles(model: Model): Generator<string> {
  const path = model.file?.path;
  if (path === undefined) return;
  yield path;
  for (const value of model.graph.initializers) {
    const location = value.tensor?.external?.location;
    if (location !== undefined) yield join(dirname(path), location);
  }
}
