import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { LowrankError } from '../errors.js';
import { labelNames, plainClasses, readClassList, stem } from './class-list.js';
import type { ClassList } from './class-list.js';
import { openFile } from './files.js';
import type { OpenFile } from './files.js';
import { groundTruthBeside, readGroundTruth } from './ground-truth.js';
import { extentSource, findSplit, isImageName, isSplitName, pacer } from './source.js';
import type { SourceOptions } from './source.js';
import { nestedTar, tarEntries, wholeTar } from './tar.js';
import type { TarEntry } from './tar.js';
import type { Extent, ImageSource, SourceFormat } from './types.js';

/** An image in a tar, with what may tell its class. */
interface Member {
  readonly extent: Extent;
  /** Shard and member: unique in the data set. */
  readonly name: string;
  /** The member's own name. */
  readonly path: string;
  /** The tar in the tar that it lies in, without ".tar". */
  readonly innerTar: string | undefined;
  /** The text of the label that lies beside it (WebDataset). */
  readonly label: string | undefined;
}

interface Contents {
  readonly members: Member[];
  ignored: number;
}

/** Labels beside images, the first of these that there is (WebDataset: "0001.jpg" and "0001.cls" are one sample). */
const labelKinds = ['cls', 'json', 'txt'] as const;
type LabelKind = (typeof labelKinds)[number];

/** A caption may be long; a label is not. */
const longestLabel = 65_536;

/**
 * Images in tars, found by reading the tars' headers once; nothing is unpacked. Understood are
 * - WebDataset shards: the label of `a/0001.jpg` is the text of `a/0001.cls`, `.json` ("label", "cls" …) or `.txt`;
 * - a tar of tars, as ILSVRC2012_img_train.tar: the inner tar names the class;
 * - class folders in a tar, and tars named after their class;
 * - unlabelled images, as ILSVRC2012_img_val.tar, with a ground truth.
 * Names of members are data: "../" in them means nothing. Throws FORMAT where a tar is cut or damaged or a label missing.
 */
export async function openTars(path: string, tars: readonly string[], options: SourceOptions): Promise<ImageSource> {
  const contents: Contents = { members: [], ignored: 0 };
  const pace = pacer(options);
  for (const tar of tars) {
    const file = openFile(tar);
    try {
      await readTar(file, tars.length > 1 ? `${basename(tar)}/` : '', contents, pace);
    } finally {
      file.close();
    }
  }
  if (contents.members.length === 0) {
    throw new LowrankError('INPUT', tars.length === 1 ? 'the tar holds no images' : 'the tars hold no images', {
      place: path,
    });
  }
  const { members, format, classes, labels } = labelMembers(path, tars, contents.members, options);
  const warnings =
    contents.ignored === 0 ? [] : [`${contents.ignored} members are no images by their names: they are left out`];
  return extentSource({
    format,
    path,
    classes,
    hasGivenClasses: options.classes !== undefined,
    labels: Int32Array.from(labels),
    extents: members.map(({ extent }) => extent),
    names: members.map(({ name }) => name),
    warnings,
  });
}

async function readTar(
  file: OpenFile,
  prefix: string,
  contents: Contents,
  pace: (images: number) => Promise<void> | undefined,
): Promise<void> {
  const range = wholeTar(file);
  const outer: TarEntry[] = [];
  for (const entry of tarEntries(file, range)) {
    if (/\.tar$/i.test(entry.name)) {
      const inner: TarEntry[] = [];
      for (const nested of tarEntries(file, nestedTar(entry, file.path))) {
        inner.push(nested);
        await pace(contents.members.length + inner.length);
      }
      collect(file, inner, `${prefix}${entry.name}/`, stem(entry.name), contents);
    } else {
      outer.push(entry);
    }
    await pace(contents.members.length + outer.length);
  }
  collect(file, outer, prefix, undefined, contents);
}

/** Adds the images of one tar, each with the label that lies beside it. */
function collect(
  file: OpenFile,
  entries: readonly TarEntry[],
  prefix: string,
  innerTar: string | undefined,
  contents: Contents,
): void {
  const labels = new Map<string, Partial<Record<LabelKind, TarEntry>>>();
  for (const entry of entries) {
    const { key, extension } = sampleKey(entry.name);
    const kind = labelKinds.find((candidate) => candidate === extension);
    if (kind !== undefined && entry.size <= longestLabel) labels.set(key, { ...labels.get(key), [kind]: entry });
  }
  for (const entry of entries) {
    const { key, extension } = sampleKey(entry.name);
    if (!isImageName(entry.name)) {
      if (!labelKinds.some((kind) => kind === extension)) contents.ignored += 1;
      continue;
    }
    const beside = labels.get(key);
    contents.members.push({
      extent: { path: file.path, offset: entry.offset, length: entry.size },
      name: `${prefix}${entry.name}`,
      path: entry.name,
      innerTar,
      label: beside === undefined ? undefined : labelText(file, beside),
    });
  }
}

/** WebDataset's rule: the key ends at the first point of the last part of the name. */
function sampleKey(name: string): { readonly key: string; readonly extension: string } {
  const start = name.lastIndexOf('/') + 1;
  const point = name.indexOf('.', start);
  if (point < 0) return { key: name, extension: '' };
  return { key: name.slice(0, point), extension: name.slice(point + 1).toLowerCase() };
}

function labelText(file: OpenFile, beside: Partial<Record<LabelKind, TarEntry>>): string | undefined {
  for (const kind of labelKinds) {
    const entry = beside[kind];
    if (entry === undefined) continue;
    const text = Buffer.from(file.read(entry.offset, entry.size)).toString('utf8').trim();
    const label = kind === 'json' ? labelOfJson(text) : text;
    if (label !== undefined) return label;
  }
  return undefined;
}

const jsonKeys = ['label', 'cls', 'class', 'class_id', 'target', 'wnid'] as const;

function labelOfJson(text: string): string | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value === 'number' || typeof value === 'string') return String(value);
  if (typeof value !== 'object' || value === null) return undefined;
  const record = value as Readonly<Record<string, unknown>>;
  const found = jsonKeys.map((key) => record[key]).find((item) => typeof item === 'number' || typeof item === 'string');
  return found === undefined ? undefined : String(found);
}

interface Labelled {
  readonly members: readonly Member[];
  readonly format: SourceFormat;
  readonly classes: ClassList;
  readonly labels: readonly number[];
}

function labelMembers(
  path: string,
  tars: readonly string[],
  members: readonly Member[],
  options: SourceOptions,
): Labelled {
  const first = members.find(({ label }) => label !== undefined);
  if (first !== undefined) return { members, format: 'webdataset', ...labelsBeside(path, tars, members, options) };
  const isNested = members.every(({ innerTar }) => innerTar !== undefined);
  if (isNested) {
    return {
      members,
      format: 'tar-of-tars',
      ...labelNames(
        members.map(({ innerTar }) => innerTar!),
        options.classes,
        path,
      ),
    };
  }
  const isInFolders = members.every((member) => member.path.includes('/') && folderOf(member) !== '.');
  const truth = options.groundTruth ?? (isInFolders ? undefined : groundTruthBeside(tars[0]!));
  if (truth !== undefined) {
    const names = members.map((member) => basename(member.path));
    return { members, format: 'tar', ...readGroundTruth(truth, names, options.classes) };
  }
  if (isInFolders) {
    const chosen = membersOfSplit(path, members, options.split);
    return { members: chosen, format: 'tar', ...labelNames(chosen.map(folderOf), options.classes, path) };
  }
  if (tars.length > 1 && options.classes === undefined && tars.every((tar) => /^n\d{8}$/.test(stem(tar)))) {
    const names = members.map(({ extent }) => stem(extent.path));
    return { members, format: 'tar-of-tars', ...labelNames(names, options.classes, path) };
  }
  throw new LowrankError('INPUT', `the ${members.length} images have no labels`, {
    place: path,
    remedy: 'put them into class folders, add .cls members (WebDataset), or give --ground-truth',
  });
}

/** The folder that a member lies in: its class. */
function folderOf({ path }: Member): string {
  return basename(dirname(path));
}

/** A tar of a data set with its parts ("imagenette2/train/n01440764/a.jpg"): one of them, which must be named. */
function membersOfSplit(path: string, members: readonly Member[], split: string | undefined): readonly Member[] {
  const partOf = (member: Member): string | undefined => dirname(member.path).split('/').slice(0, -1).find(isSplitName);
  const parts = [...new Set(members.map(partOf))].filter((part) => part !== undefined);
  if (parts.length === 0) return members;
  const chosen = split === undefined ? (parts.length === 1 ? parts[0] : undefined) : findSplit(split, parts);
  if (chosen === undefined) {
    throw new LowrankError('INPUT', `the tar holds the parts ${parts.join(', ')} of a data set`, {
      place: path,
      remedy: `choose one with --split ${parts[0] ?? ''}, or give its shards alone`,
    });
  }
  return members.filter((member) => partOf(member) === chosen);
}

/** The name of the class list that `lowrank-data pack` writes beside its shards. */
export const classListName = 'classes.txt';

function labelsBeside(
  path: string,
  tars: readonly string[],
  members: readonly Member[],
  options: SourceOptions,
): { readonly classes: ClassList; readonly labels: readonly number[] } {
  const texts = members.map(({ label, name }) => {
    if (label !== undefined && label !== '') return label;
    throw new LowrankError('FORMAT', `image '${name}' has no label beside it (.cls, .json or .txt)`, { place: path });
  });
  const beside = join(dirname(tars[0]!), classListName);
  const given = options.classes ?? (existsSync(beside) ? readClassList(beside) : undefined);
  const isNumbers = texts.every((text) => /^\d{1,9}$/.test(text));
  if (!isNumbers) return labelNames(texts, given, path);
  const labels = texts.map(Number);
  const most = labels.reduce((largest, label) => Math.max(largest, label), 0);
  const classes = given ?? plainClasses(Array.from({ length: most + 1 }, (_, index) => String(index)));
  const tooLarge = labels.findIndex((label) => label >= classes.ids.length);
  if (tooLarge >= 0) {
    throw new LowrankError(
      'INPUT',
      `image '${members[tooLarge]!.name}' has label ${labels[tooLarge]!}, the class list ${classes.ids.length} classes`,
      { place: path, remedy: 'give the class list of this data set (--classes)' },
    );
  }
  return { classes, labels };
}
