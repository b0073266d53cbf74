import { realpathSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { LowrankError } from '../errors.js';
import { removeStale } from '../files/temporary.js';
import { allocate } from '../files/source.js';
import { drain, type Pieces } from '../files/pieces.js';
import type { Tensor } from '../onnx/tensor.js';
import { type Chunk, gather, totalLength } from '../files/chunk.js';
import { checkWritable, isThere } from '../files/write-file.js';
import { stageTogether } from '../files/write-together.js';
import { encodeModel } from './encode.js';
import type { Model } from './model.js';
import { readModel } from './read.js';

export interface WriteOptions {
  /** Replace an existing file. */
  readonly force?: boolean;
  /**
   * Where tensor data goes: `keep` (default) leaves external what was external and inline what was inline, and moves
   * large tensors out only where the file would pass 2 GiB; `single` puts all inline as far as one file holds it; `inline`,
   * `external` say it for all.
   */
  readonly dataLocation?: 'keep' | 'single' | 'inline' | 'external';
  /** Bytes that the model file may have, by default what protobuf can hold; smaller for tests. */
  readonly largestFile?: number;
}

export interface WrittenFile {
  readonly path: string;
  readonly bytes: number;
  /** The external data file, where there is one. */
  readonly dataPath: string | undefined;
  readonly dataBytes: number;
}

/** How many files a model is written to: one as far as it holds all, or as is said. */
export interface FileOptions {
  readonly singleFile?: boolean;
  readonly externalData?: boolean;
}

/** Where tensors go, as options say it. Throws USAGE where both are asked for. */
export function dataLocation({
  singleFile = false,
  externalData = false,
}: FileOptions): 'single' | 'inline' | 'external' {
  if (singleFile && externalData) {
    throw new LowrankError('USAGE', 'a single file and a file of its own for tensors contradict each other', {
      remedy: 'ask for one of them',
    });
  }
  return externalData ? 'external' : singleFile ? 'inline' : 'single';
}

/** Protobuf cannot hold more than 2 GiB; some headroom for what other tools add. */
const largestModel = 2 ** 31 - 2 ** 20;
/** Tensors from this size on are worth a place in the data file. */
const externalThreshold = 1024;
const alignment = 4096;

/** All bytes of a model, data inline. For models known to be small; throws OUTPUT above 2 GiB. */
export function modelBytes(model: Model): Uint8Array {
  const chunks = encodeModel(model, (tensor) => tensor.encodeInline());
  if (totalLength(chunks) > largestModel) {
    throw new LowrankError('OUTPUT', 'a model of more than 2 GiB needs external data', {
      remedy: 'write it to a file',
    });
  }
  return allocate(() => gather(chunks), 'the bytes of a model');
}

/** A model that lies complete beside its place. */
export interface StagedModel {
  /** Where it can be loaded from until `commit`: verify it there, so that a bad model never takes its name. */
  readonly temporaryPath: string;
  /** Its external data file, where there is one, until `commit`. */
  readonly temporaryDataPath: string | undefined;
  /** Puts the model in its place, and its data with it. */
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

/** The first half of `writeModel`: everything but the final renames. Throws OUTPUT, leaving nothing behind. */
export function stageModel(model: Model, path: string, options: WriteOptions = {}): StagedModel {
  return drain(stageModelInPieces(model, path, options));
}

/** `stageModel` in pieces; it yields the bytes written so far. */
export function* stageModelInPieces(model: Model, path: string, options: WriteOptions = {}): Pieces<StagedModel> {
  const force = options.force ?? false;
  checkWritable(path, force);
  // What a killed run left may have the name of the data file.
  removeStale(path);
  const { chunks, dataPath, dataChunks } = encodeWithData(model, path, options);
  const companion = dataPath === undefined ? undefined : { path: dataPath, chunks: dataChunks };
  const staged = yield* stageTogether({ path, chunks, force, companion });
  return {
    temporaryPath: staged.temporaryPath,
    temporaryDataPath: staged.temporaryCompanion,
    discard: staged.discard,
    commit: () => {
      const needed = new Set([...inputFiles(model), ...(dataPath === undefined ? [] : [dataPath])].map(realPath));
      staged.commit(force ? ownDataFiles(path).filter((old) => !needed.has(realPath(old))) : []);
      return { path, bytes: staged.bytes, dataPath, dataBytes: staged.companionBytes };
    },
  };
}

/** `<path>.data`, or `<path>.1.data` … where that is taken: it may belong to the model that is being replaced. */
function freeDataPath(path: string): string {
  let candidate = `${path}.data`;
  for (let i = 1; isThere(candidate); i++) candidate = `${path}.${i}.data`;
  return candidate;
}

interface Encoded {
  readonly chunks: readonly Chunk[];
  /** Where the data file goes, if there is one. */
  readonly dataPath: string | undefined;
  readonly dataChunks: readonly Chunk[];
}

/** Pieces of the model file and of its data file. Throws OUTPUT where the model file would be too large. */
function encodeWithData(model: Model, path: string, options: WriteOptions): Encoded {
  const location = options.dataLocation ?? 'keep';
  const largest = options.largestFile ?? largestModel;
  const canMove = (tensor: Tensor): boolean => tensor.isExternal || (tensor.byteLength ?? 0) >= externalThreshold;
  const encode = (isExternal: (tensor: Tensor) => boolean): Encoded => {
    const layout = dataLayout();
    let dataPath: string | undefined;
    const encodeExternal = (tensor: Tensor): Chunk[] => {
      dataPath ??= freeDataPath(path);
      return tensor.encodeExternal(basename(dataPath), layout.place(tensor));
    };
    const chunks = encodeModel(model, (tensor) =>
      isExternal(tensor) ? encodeExternal(tensor) : tensor.encodeInline(),
    );
    return { chunks, dataPath, dataChunks: layout.chunks };
  };
  const inside = (): boolean => false;
  const choices = { keep: keepLocations(model, canMove), single: inside, inline: inside, external: canMove };
  const first = encode(choices[location]);
  if (totalLength(first.chunks) <= largest) return first;
  const second = location === 'keep' || location === 'single' ? encode(canMove) : first;
  const size = totalLength(second.chunks);
  if (size <= largest) return second;
  throw new LowrankError('OUTPUT', `the model would have ${size} bytes, more than protobuf can hold`, {
    place: path,
    remedy:
      location === 'inline'
        ? 'let its data go to a file of its own'
        : 'turn weights in Constant nodes into initializers',
  });
}

/** External stays external, and large new tensors join it. */
function keepLocations(model: Model, canMove: (tensor: Tensor) => boolean): (tensor: Tensor) => boolean {
  const hadExternal = model.graph.initializers.some(({ tensor }) => tensor!.isExternal);
  return (tensor) => tensor.isExternal || (hadExternal && tensor.original === undefined && canMove(tensor));
}

interface DataLayout {
  readonly chunks: Chunk[];
  /** The offset of a tensor's data. */
  place(tensor: Tensor): number;
}

/** Tensors one behind the other, large ones on page boundaries; those that shared a range of their file share it again. */
function dataLayout(): DataLayout {
  const chunks: Chunk[] = [];
  const shared = new Map<string, number>();
  let position = 0;
  const place = (tensor: Tensor): number => {
    const range = tensor.payload();
    const length = range.end - range.start;
    const key = tensor.isExternal ? `${range.source.label}:${range.start}:${range.end}` : undefined;
    const known = key === undefined ? undefined : shared.get(key);
    if (known !== undefined) return known;
    if (length >= alignment && position % alignment !== 0) {
      const gap = alignment - (position % alignment);
      chunks.push(new Uint8Array(gap));
      position += gap;
    }
    const offset = position;
    if (key !== undefined) shared.set(key, offset);
    chunks.push(range);
    position += length;
    return offset;
  };
  return { chunks, place };
}

/** Data files of the model at `path` that this tool named after it; none where the model cannot be read. */
function ownDataFiles(path: string): string[] {
  const folder = dirname(path);
  const base = basename(path);
  const isOwn = (name: string): boolean =>
    name.startsWith(`${base}.`) && /^(\d+\.)?data$/.test(name.slice(base.length + 1));
  try {
    const old = readModel(path);
    old.file?.close();
    const names = old.graph.initializers.map((value) => value.tensor!.external?.location ?? '');
    return [...new Set(names.filter(isOwn))].map((name) => join(folder, name));
  } catch {
    // What stands there is no model, so nothing belongs to it.
    return [];
  }
}

function* inputFiles({ file, graph }: Model): Generator<string> {
  if (file?.path !== undefined) yield file.path;
  for (const { tensor } of graph.initializers) {
    if (tensor?.external !== undefined) yield tensor.external.range.source.label;
  }
}

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return resolve(path);
  }
}
