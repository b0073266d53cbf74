import { dirname } from 'node:path';
import { LowrankError } from '../errors.js';
import { type Budget, modelBudget } from './budget.js';
import { ExternalFiles } from './external.js';
import { type Message, ModelProto } from './proto.js';
import { type ByteRange, type ByteSource, fileSource, memorySource } from '../files/source.js';
import { decode } from './tensor-header.js';
import { fields, type WireField } from './wire.js';
import { gather, totalLength } from '../files/chunk.js';

/** One field of a message as it lies in the file. A model has many, so ranges are made when asked for. */
export class Entry {
  readonly number: number;
  readonly wireType: number;
  readonly #source: ByteSource;
  readonly #start: number;
  readonly #payload: number;
  readonly #end: number;

  constructor(source: ByteSource, { number, wireType, start, payload, end }: WireField) {
    this.number = number;
    this.wireType = wireType;
    this.#source = source;
    this.#start = start;
    this.#payload = payload;
    this.#end = end;
  }

  /** With its tag and length. */
  get whole(): ByteRange {
    return { source: this.#source, start: this.#start, end: this.#end };
  }

  get payload(): ByteRange {
    return { source: this.#source, start: this.#payload, end: this.#end };
  }

  /** Whether this is the length-delimited field `number`; any other wire type makes it an unknown one. */
  is(number: number): boolean {
    return this.number === number && this.wireType === 2;
  }
}

/** Field numbers of ModelProto and GraphProto that this project reads. */
export const modelFields = {
  irVersion: 1,
  producerName: 2,
  producerVersion: 3,
  graph: 7,
  opsetImport: 8,
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
  /** What ModelProto says about the model: versions, producer, operator sets, metadata. */
  readonly head: Message;
  readonly entries: readonly Entry[];
  readonly graphEntries: readonly Entry[];
  /** Of all that is taken apart further. */
  readonly budget: Budget;
  close(): void;
}

const headFields = new Set<number>([
  modelFields.irVersion,
  modelFields.producerName,
  modelFields.producerVersion,
  modelFields.opsetImport,
  modelFields.metadataProps,
]);
const largestHead = 1 << 26;

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
    const budget = modelBudget(source.size, source.label);
    const entries = topFields({ source, start: 0, end: source.size }, budget);
    const graphs = entries.filter((entry) => entry.is(modelFields.graph));
    const graph = graphs[0];
    if (graph === undefined || graphs.length > 1) {
      throw new LowrankError('FORMAT', `not an ONNX model: ${graphs.length} graphs where there must be one`, {
        place: source.label,
        remedy: 'check that this is an .onnx file and that it is complete',
      });
    }
    const head = readHead(entries, { source, start: 0, end: source.size }, budget);
    const graphEntries = topFields(graph.payload, budget);
    return { path, source, external, head, entries, graphEntries, budget, close };
  } catch (error) {
    const refusal = error instanceof LowrankError && error.code === 'FORMAT' ? impostor(source) : undefined;
    close();
    throw refusal ?? error;
  }
}

/** What is only passed through takes less than what is made of it. */
const entryItems = 2 / 3;
/** A decoded message of its own, without its fields. */
const messageItems = 3;

/** Counted before any is kept: a file of too many is refused before it takes memory. */
function topFields(range: ByteRange, budget: Budget): Entry[] {
  for (const _ of fields(range)) budget(entryItems);
  const entries: Entry[] = [];
  for (const field of fields(range)) entries.push(new Entry(range.source, field));
  return entries;
}

function readHead(entries: readonly Entry[], range: ByteRange, budget: Budget): Message {
  const light = entries.filter(({ number }) => headFields.has(number));
  for (const entry of light) {
    const isMessage = entry.is(modelFields.opsetImport) || entry.is(modelFields.metadataProps);
    if (isMessage) budget(messageItems + countFields(entry.payload));
  }
  const size = totalLength(light.map(({ whole }) => whole));
  if (size > largestHead) {
    throw new LowrankError('UNSUPPORTED', `${size} bytes of metadata and operator sets`, {
      place: range.source.label,
      remedy: 'check that this is an .onnx file',
    });
  }
  return decode(ModelProto.decode, gather(light.map(({ whole }) => whole)), range);
}

function countFields(range: ByteRange): number {
  let count = 0;
  for (const field of fields(range)) count += field.end > field.start ? 1 : 0;
  return count;
}

/** Other files saved under an .onnx name: how they begin, and what they are. */
const impostors: readonly (readonly [RegExp | string, string, string])[] = [
  [/^(<!doctype|<html|<head|<\?xml|<!--)/i, 'it is a web page', 'download the raw file, not the page that shows it'],
  [/^version https:\/\/git-lfs/i, 'it is a Git LFS pointer', 'run `git lfs pull`'],
  ['PK\u0003\u0004', 'it is a zip archive', 'unpack it, or export the checkpoint to ONNX'],
  ['\u001f\u008b', 'it is compressed with gzip', 'run `gunzip` first'],
  ['\u0089HDF\r\n', 'it is an HDF5 file, as Keras writes', 'export the model to ONNX'],
  [/^....TFL3/s, 'it is a TensorFlow Lite model', 'export the model to ONNX'],
  [/^....ORTM/s, "it is in onnxruntime's own format", 'use the .onnx file that it was made from'],
  [/^[[{]\s*["{[\]}]/, 'it is JSON', 'download the .onnx file itself'],
  [/^(ir_version\s*:|<\s*ir_version)/, 'it is a model in text form', 'save it in binary form'],
];

/** What a file that is no model is instead, as far as its first bytes tell. */
function impostor(source: ByteSource): LowrankError | undefined {
  const start = Buffer.from(source.read(0, Math.min(source.size, 256))).toString('latin1');
  const text = start.replace(/^(\u00ef\u00bb\u00bf)?\s*/, '');
  const matches = (pattern: RegExp | string): boolean =>
    typeof pattern === 'string' ? start.startsWith(pattern) : pattern.test(start) || pattern.test(text);
  const found = impostors.find(([pattern]) => matches(pattern));
  if (found === undefined) return undefined;
  const [, fact, remedy] = found;
  return new LowrankError('FORMAT', `not an ONNX file: ${fact}`, { place: source.label, remedy });
}
