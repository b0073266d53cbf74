import { LowrankError } from '../errors.js';
import type { ClassList } from './class-list.js';
import type { OpenFile } from './files.js';
import { isNumberLabel } from './labels.js';
import { imageFieldNames, isImageName } from './source.js';
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
const possibleKinds = ['txt', 'text', 'cls2', 'index', 'inx', 'id'] as const;
type LabelKind = (typeof certainKinds)[number] | (typeof possibleKinds)[number];

/** What may be a label, by kind; of JSON its stated keys alone. A text that is too long to be one is null. */
type Beside = { [Kind in Exclude<LabelKind, 'json'>]?: string | null } & { json?: Readonly<Record<string, unknown>> };

const noLabels: Sample['labels'] = new Map();

/** Keys of a .json member that hold the label, the first of these that there is. */
const jsonKeys = ['label', 'labels', 'cls', 'class', 'class_id', 'target', 'wnid'] as const;
/** A .json member that is the label itself. */
const wholeJson = '';

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

function partsOfName(name: string): MemberName {
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

/** Where in a sample the labels of a data set are. */
export interface LabelPlace {
  /** For people: ".cls", ".json ('label')". */
  readonly title: string;
  readonly of: (beside: Beside | undefined) => unknown;
}

/** Every image that lies beside something of a kind that is a label for certain, or that all images have as a number or a class of the list. */
export function certainLabels(images: readonly Image[], given: ClassList | undefined): LabelPlace | undefined {
  const some = (is: (beside: Beside) => boolean): boolean =>
    images.some(({ sample: { labels }, field }) =>
      [labels.get(field), labels.get('')].some((beside) => beside !== undefined && is(beside)),
    );
  if (some(({ cls }) => cls !== undefined)) return placeOf('cls');
  const key = [wholeJson, ...jsonKeys].find((name) => some(({ json }) => json?.[name] !== undefined));
  if (key !== undefined) {
    return { title: key === wholeJson ? '.json' : `.json ('${key}')`, of: (beside) => beside?.json?.[key] };
  }
  const names = new Set(given?.ids);
  return (['txt', 'text'] as const).map(placeOf).find(({ of }) =>
    images.every((image) => {
      const text = labelOfImage(image, of);
      return typeof text === 'string' && (isNumberLabel(text) || names.has(text));
    }),
  );
}

/** What may be labels where nothing else is: texts of one line, or numbers, which all images have and which repeat. */
export function possibleLabels(images: readonly Image[]): LabelPlace | undefined {
  const samples = [...new Set(images.map(({ sample }) => sample))];
  return possibleKinds.map(placeOf).find(({ of }) => {
    if (images.some((image) => labelOfImage(image, of) === undefined)) return false;
    const texts = samples.flatMap(({ labels }) => [...labels.values()].map(of).filter((text) => text !== undefined));
    if (!texts.every((text) => typeof text === 'string' && text !== '' && !/[\r\n]/.test(text))) return false;
    const distinct = new Set(texts).size;
    return distinct > 1 && 2 * distinct <= texts.length;
  });
}

function placeOf(kind: Exclude<LabelKind, 'json'>): LabelPlace {
  return { title: `.${kind}`, of: (beside) => beside?.[kind] };
}

function labelOfImage({ sample, field }: Image, of: LabelPlace['of']): unknown {
  return of(sample.labels.get(field)) ?? of(sample.labels.get(''));
}

/** Images that are trained on, with the labels as they were found. */
export interface LabelledImages {
  readonly images: readonly Image[];
  readonly values: readonly unknown[];
  readonly warnings: readonly string[];
}

/**
 * One image of every sample: the one without a field, `0001.jpg` with `0001.cls`; or those that have a label of their field,
 * `img.7.png` with `img.7.cls`; or the only one there is, or the only one called "image", "img", "rgb" …, where that is the
 * same field in all samples. The others (masks, depths) are left out and counted. Throws FORMAT where an image has no label,
 * INPUT where several may be meant.
 */
export function chooseImages(path: string, all: readonly Image[], place: LabelPlace): LabelledImages {
  const samples = new Set(all.map(({ sample }) => sample));
  const chosen = new Map<Image, unknown>();
  let agreed: Image | undefined;
  for (const sample of samples) {
    if (sample.repeated !== undefined) {
      throw new LowrankError('FORMAT', `the sample '${sample.key}' has two members '${sample.repeated}'`, {
        place: path,
        remedy: 'give every sample a key of its own: the name up to its first point',
      });
    }
    const own = sample.images.filter(({ field }) => place.of(sample.labels.get(field)) !== undefined);
    const label = place.of(sample.labels.get(''));
    const image = own.length > 0 ? undefined : onlyImage(sample.images);
    if (own.length > 0) {
      const fields = own.map(({ field }) => field);
      const second = own.find(({ field }, index) => fields.indexOf(field) < index);
      if (second !== undefined) throw several(path, sample.images);
      for (const each of own) chosen.set(each, place.of(sample.labels.get(each.field)));
    } else if (label === undefined) {
      throw new LowrankError('FORMAT', `image '${sample.images[0]!.name}' has no label beside it (${place.title})`, {
        place: path,
        remedy: 'give every sample its label, or take the sample out',
      });
    } else if (image === undefined) {
      throw several(path, sample.images);
    } else {
      chosen.set(image, label);
    }
    const main = image ?? own.find(({ field }) => field === '');
    if (main === undefined) continue;
    agreed ??= main;
    if (agreed.field !== main.field) throw several(path, [agreed, main]);
  }
  const images = all.filter((image) => chosen.has(image));
  return { images, values: images.map((image) => chosen.get(image)), warnings: besideWarnings(all, new Set(images)) };
}

function onlyImage(images: readonly Image[]): Image | undefined {
  const plain = images.filter(({ field }) => field === '');
  if (plain.length > 0) return plain.length === 1 ? plain[0] : undefined;
  if (images.length === 1) return images[0];
  const named = images.filter(({ field }) => imageFieldNames.includes(field));
  return named.length === 1 ? named[0] : undefined;
}

function several(path: string, images: readonly Image[]): LowrankError {
  const names = images.slice(0, 3).map(({ name }) => `'${name}'`);
  return new LowrankError('INPUT', `either of ${names.join(', ')} may be the image of a label`, {
    place: path,
    remedy: "name the image by the key alone, such as '0001.jpg', and what lies beside it '0001.seg.png'",
  });
}

function besideWarnings(all: readonly Image[], chosen: ReadonlySet<Image>): readonly string[] {
  const others = all.filter((image) => !chosen.has(image));
  if (others.length === 0) return [];
  const endings = [...new Set(others.map(({ path }) => `.${partsOfName(path).extension}`))];
  const shown = `${endings.slice(0, 3).join(', ')}${endings.length > 3 ? ', …' : ''}`;
  return [`${others.length} images beside the image of their sample are left out: ${shown}`];
}

/**
 * Images of class folders without what lies beside them: where every sample has an image without a field and the same others
 * ("0001.png", "0001.seg.png"), those are no images of the class; a name with a point in it ("photo.2.jpg") is one.
 */
export function withoutBeside(all: readonly Image[]): Omit<LabelledImages, 'values'> {
  const fieldsOf = ({ images }: Sample): string =>
    images
      .map(({ field }) => field)
      .toSorted()
      .join('\n');
  const first = all[0]?.sample;
  const isBeside =
    first !== undefined &&
    first.images.length > 1 &&
    first.images.filter(({ field }) => field === '').length === 1 &&
    all.some(({ sample }) => sample !== first) &&
    all.every(({ sample }) => sample.repeated === undefined && fieldsOf(sample) === fieldsOf(first));
  if (!isBeside) return { images: all, warnings: [] };
  const images = all.filter(({ field }) => field === '');
  return { images, warnings: besideWarnings(all, new Set(images)) };
}
