import { dirname } from 'node:path';
import { LowrankError } from '../errors.js';
import { ExternalFiles } from './external.js';
import { type Message, ModelProto } from './proto.js';
import { type ByteRange, type ByteSource, fileSource, memorySource } from './source.js';
import { decode } from './tensor.js';
import { fields } from './wire.js';

/** One field of a message as it lies in the file: `whole` with its tag and length, `payload` without. */
export interface Entry {
  readonly number: number;
  readonly whole: ByteRange;
  readonly payload: ByteRange;
}

/** Field numbers of ModelProto and GraphProto that this project reads. */
export const modelFields = {
  graph: 7,
  opsetImport: 8,
  irVersion: 1,
  metadataProps: 14,
  trainingInfo: 20,
  functions: 25,
} as const;
export const graphFields = {
  node: 1,
  name: 2,
  initializer: 5,
  input: 11,
  output: 12,
  valueInfo: 13,
  sparseInitializer: 15,
} as const;

/** An ONNX file taken apart one level deep; payloads still lie in the file, which stays open until `close`. */
export interface ModelFile {
  /** undefined for models given as bytes. */
  readonly path: string | undefined;
  readonly source: ByteSource;
  readonly external: ExternalFiles;
  /** ModelProto without its graph, functions and training info. */
  readonly head: Message;
  readonly entries: readonly Entry[];
  readonly graphEntries: readonly Entry[];
  close(): void;
}

export interface ReadOptions {
  /** Folder of external data for a model given as bytes. */
  readonly externalDataFolder?: string;
}

/**
 * Opens a model: a path or the bytes of one. Reads its outer structure only.
 * Throws INPUT (no such file, a directory, empty) or FORMAT (not protobuf, not a ModelProto).
 */
export function openModelFile(input: string | Uint8Array, options: ReadOptions = {}): ModelFile {
  const path = typeof input === 'string' ? input : undefined;
  const source = typeof input === 'string' ? fileSource(input) : memorySource(input, 'model bytes');
  const external = new ExternalFiles(path === undefined ? options.externalDataFolder : dirname(path), source.label);
  const close = (): void => {
    source.close();
    external.close();
  };
  try {
    if (source.size === 0) {
      throw new LowrankError('INPUT', 'the file is empty', { place: source.label, remedy: 'fetch it again' });
    }
    refuseText(source);
    const entries = [...topFields({ source, start: 0, end: source.size })];
    const graphs = entries.filter((entry) => entry.number === modelFields.graph);
    const graph = graphs[0];
    if (graph === undefined || graphs.length > 1) {
      throw new LowrankError('FORMAT', `not an ONNX model: ${graphs.length} graphs where there must be one`, {
        place: source.label,
        remedy: 'check that this is an .onnx file and that it is complete',
      });
    }
    const heavy = new Set<number>([modelFields.graph, modelFields.functions, modelFields.trainingInfo]);
    const light = entries.filter((entry) => !heavy.has(entry.number));
    const bytes = Buffer.concat(light.map(({ whole }) => source.read(whole.start, whole.end)));
    const head = decode(ModelProto.decode, bytes, { source, start: 0, end: source.size });
    return { path, source, external, head, entries, graphEntries: [...topFields(graph.payload)], close };
  } catch (error) {
    close();
    throw error;
  }
}

function* topFields(range: ByteRange): Generator<Entry> {
  const { source } = range;
  for (const field of fields(range)) {
    yield {
      number: field.number,
      whole: { source, start: field.start, end: field.end },
      payload: { source, start: field.payload, end: field.end },
    };
  }
}

/** Web pages and Git LFS pointers saved under an .onnx name are common enough to be named. */
function refuseText(source: ByteSource): void {
  const start = Buffer.from(source.read(0, Math.min(source.size, 256))).toString('latin1');
  const text = start.trimStart().toLowerCase();
  const refusal = (fact: string, remedy: string): LowrankError =>
    new LowrankError('FORMAT', `not an ONNX file: ${fact}`, { place: source.label, remedy });
  if (text.startsWith('<!doctype') || text.startsWith('<html') || text.startsWith('<?xml')) {
    throw refusal('it is a web page', 'download the raw file, not the page that shows it');
  }
  if (text.startsWith('version https://git-lfs')) {
    throw refusal('it is a Git LFS pointer', 'run `git lfs pull`');
  }
  if (start.startsWith('PK\u0003\u0004'))
    throw refusal('it is a zip archive', 'unpack it, or export the checkpoint to ONNX');
}
