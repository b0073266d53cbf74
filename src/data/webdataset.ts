import type { OpenFile } from './files.js';
import { isImageName } from './source.js';
import type { TarEntry } from './tar.js';
import type { Extent } from './types.js';

/**
 * Members of a tar of one key: "a/0001.jpg", "a/0001.seg.png", "a/0001.cls" are the sample "a/0001". As in the webdataset
 * library the key ends at the first point of the last part of the name, and what follows is the extension; of an extension of
 * several parts the last one is the type, what is before it the field ("seg").
 */
export interface Sample {
  readonly key: string;
  readonly images: Image[];
  /** By field: the extension without its type. */
  labels: ReadonlyMap<string, Beside>;
  /** The name of a second member of the same extension. */
  repeated: string | undefined;
}

/** An image in a tar. */
export interface Image {
  readonly extent: Extent;
  /** Shard and member: unique in the data set. */
  readonly name: string;
  /** The member's own name. */
  readonly path: string;
  /** The tar in the tar that it lies in, without ".tar". */
  readonly innerTar: string | undefined;
  readonly field: string;
  readonly sample: Sample;
}

/** Kinds of labels beside an image: what is in a .cls is one for certain, what is in a .txt only where it looks like one. */
const certainKinds = ['cls', 'json'] as const;
export const possibleKinds = ['txt', 'text', 'cls2', 'index', 'inx', 'id'] as const;
export type LabelKind = (typeof certainKinds)[number] | (typeof possibleKinds)[number];

/** What may be a label, by kind; of JSON its stated keys alone. A text that is too long to be one is null. */
export type Beside = { [Kind in Exclude<LabelKind, 'json'>]?: string | null } & {
  json?: Readonly<Record<string, unknown>>;
};

const noLabels: Sample['labels'] = new Map();

/** Keys of a .json member that hold the label, the first of these that there is. */
export const jsonKeys = ['label', 'labels', 'cls', 'class', 'class_id', 'target', 'wnid'] as const;
/** A .json member that is the label itself. */
export const wholeJson = '';

/** Descriptions may be long; a label is not. */
const longestLabel = 256;
const longestJson = 1_048_576;

function kindOf(type: string): LabelKind | undefined {
  const kind = type === 'jsn' ? 'json' : type;
  return [...certainKinds, ...possibleKinds].find((candidate) => candidate === kind);
}

interface MemberName {
  readonly key: string;
  readonly extension: string;
  readonly field: string;
  readonly type: string;
}

export function partsOfName(name: string): MemberName {
  const start = name.lastIndexOf('/') + 1;
  const point = name.indexOf('.', start);
  if (point < 0) return { key: name, extension: '', field: '', type: '' };
  const extension = name.slice(point + 1).toLowerCase();
  const last = extension.lastIndexOf('.');
  return {
    key: name.slice(0, point),
    extension,
    field: extension.slice(0, Math.max(0, last)),
    type: extension.slice(last + 1),
  };
}

/** Collects the samples of one tar. */
export interface SampleCollector {
  /** undefined where the member is neither an image nor a label. */
  add(entry: TarEntry): Image | 'label' | undefined;
  /** Whether a member of the same name came twice. */
  readonly hasRepeats: boolean;
}

/** Whether a sample has a member of this extension. */
function has({ images, labels }: Sample, { extension, field }: MemberName, kind: LabelKind | undefined): boolean {
  if (kind !== undefined) return labels.get(field)?.[kind] !== undefined;
  return images.some(({ path }) => partsOfName(path).extension === extension);
}

/**
 * A collector for the members of one tar, in their order. Members of a key need not follow one another; where a key comes
 * again after others with what its sample has already, that is another sample, as in the library.
 */
export function sampleCollector(file: OpenFile, prefix: string, innerTar: string | undefined): SampleCollector {
  const samples = new Map<string, Sample>();
  let lastKey: string | undefined;
  let hasRepeats = false;
  const sampleOf = (member: MemberName, kind: LabelKind | undefined, name: string): Sample => {
    const { key } = member;
    const known = samples.get(key);
    if (known !== undefined && !has(known, member, kind)) return known;
    hasRepeats ||= known !== undefined;
    if (known !== undefined && key === lastKey) {
      known.repeated ??= name;
      return known;
    }
    const sample: Sample = { key, images: [], labels: noLabels, repeated: undefined };
    samples.set(key, sample);
    return sample;
  };
  return {
    get hasRepeats() {
      return hasRepeats;
    },
    add(entry) {
      const member = partsOfName(entry.name);
      const kind = kindOf(member.type);
      const isImage = isImageName(entry.name);
      if (!isImage && kind === undefined) return undefined;
      const sample = sampleOf(member, kind, entry.name);
      const { field } = member;
      lastKey = member.key;
      if (isImage) {
        const extent = { path: file.path, offset: entry.offset, length: entry.size };
        const image = { extent, name: `${prefix}${entry.name}`, path: entry.name, innerTar, field, sample };
        sample.images.push(image);
        return image;
      }
      const beside = sample.labels.get(field) ?? {};
      if (kind === 'json') {
        const found = entry.size > longestJson ? undefined : labelsOfJson(textOf(file, entry));
        if (found !== undefined) beside.json = found;
      } else {
        beside[kind!] = entry.size > longestLabel ? null : textOf(file, entry);
      }
      sample.labels = new Map([...sample.labels, [field, beside]]);
      return 'label';
    },
  };
}

function textOf(file: OpenFile, { offset, size }: TarEntry): string {
  return Buffer.from(file.read(offset, size)).toString('utf8').trim();
}

/** What a JSON text has under the stated keys; undefined where it has none of them. */
function labelsOfJson(text: string): Readonly<Record<string, unknown>> | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return { [wholeJson]: value };
  const found = jsonKeys.filter((key) => Object.hasOwn(value, key));
  if (found.length === 0) return undefined;
  return Object.fromEntries(found.map((key) => [key, (value as Readonly<Record<string, unknown>>)[key]]));
}
