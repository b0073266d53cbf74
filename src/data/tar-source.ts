import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { LowrankError } from '../errors.js';
import { labelNames, readClassList, sameClasses, stem, type ClassList } from './class-list.js';
import { openFile, shortNames, type OpenFile } from './files.js';
import { groundTruthBeside, readGroundTruth } from './ground-truth.js';
import { classLabels } from './labels.js';
import {
  extentSource,
  isLeftOutFolder,
  leftOutWarnings,
  pacer,
  splitNameWarnings,
  type SourceOptions,
} from './source.js';
import {
  followLinks,
  nestedTar,
  noTarNotes,
  tarEntries,
  tarWarnings,
  wholeTar,
  type TarEntry,
  type TarNotes,
} from './tar.js';
import type { ImageSource, SourceFormat } from './types.js';
import { certainLabels, chooseImages, possibleLabels, withoutBeside, type LabelPlace } from './webdataset-labels.js';
import { sampleCollector, type Image, type SampleCollector } from './webdataset.js';
import { foldersOf, inClassFolders } from './tar-folders.js';

interface Contents {
  readonly images: Image[];
  /** Whether members of the same name came twice. */
  hasRepeats: boolean;
  /** Members that are neither images nor labels by their names. */
  ignored: number;
  /** Hidden folders and those of tools. */
  readonly leftOut: Set<string>;
  readonly notes: TarNotes;
}

/**
 * Images in tars, found by reading the tars' headers once; nothing is unpacked. Understood are
 * - WebDataset shards (see webdataset.ts): the label of `a/0001.jpg` lies beside it, in `a/0001.cls` or `.json`, or `.txt`;
 * - a tar of tars, as ILSVRC2012_img_train.tar: the inner tar names the class;
 * - class folders in a tar, as they are when it is unpacked, and tars named after their class;
 * - unlabelled images, as ILSVRC2012_img_val.tar, with a ground truth.
 * Names of members are data: "../" in them means nothing. Throws FORMAT where a tar is cut or damaged or a label missing.
 */
export async function openTars(path: string, tars: readonly string[], options: SourceOptions): Promise<ImageSource> {
  const contents: Contents = { images: [], hasRepeats: false, ignored: 0, leftOut: new Set(), notes: noTarNotes() };
  const pace = pacer(options);
  const titles = shortNames(tars);
  for (const tar of tars) {
    const file = openFile(tar);
    try {
      await readTar(file, tars.length > 1 ? `${titles.get(tar)!}/` : '', contents, pace);
    } finally {
      file.close();
    }
  }
  const { ignored, leftOut, notes } = contents;
  if (contents.images.length === 0) {
    throw new LowrankError('INPUT', tars.length === 1 ? 'the tar holds no images' : 'the tars hold no images', {
      place: path,
    });
  }
  const { images, format, classes, labels, targets, warnings } = labelImages(path, tars, contents, options);
  return extentSource({
    format,
    path,
    classes,
    hasGivenClasses: options.classes !== undefined,
    labels: Int32Array.from(labels),
    targets,
    extents: images.map(({ extent }) => extent),
    names: contents.hasRepeats ? uniqueNames(images) : images.map(({ name }) => name),
    warnings: [
      ...warnings,
      ...leftOutWarnings(leftOut),
      ...tarWarnings(notes),
      ...(ignored === 0 ? [] : [`${ignored} members are no images by their names: they are left out`]),
    ],
  });
}

/** Samples may have the same key: then the offset tells them apart. */
function uniqueNames(images: readonly Image[]): readonly string[] {
  const seen = new Set<string>();
  return images.map(({ name, extent }) => {
    const unique = seen.has(name) ? `${name}@${extent.offset}` : name;
    seen.add(name);
    return unique;
  });
}

async function readTar(
  file: OpenFile,
  prefix: string,
  contents: Contents,
  pace: (images: number) => Promise<void> | undefined,
): Promise<void> {
  const { notes } = contents;
  const outer: TarEntry[] = [];
  for (const entry of tarEntries(file, wholeTar(file), notes)) {
    if (/\.tar$/i.test(entry.name) && entry.link === undefined && isWanted(entry.name, contents)) {
      const inner: TarEntry[] = [];
      for (const nested of tarEntries(file, nestedTar(entry, file.path), notes)) {
        inner.push(nested);
        await pace(contents.images.length + inner.length);
      }
      const collector = sampleCollector(file, `${prefix}${entry.name}/`, stem(entry.name));
      collect(collector, followLinks(inner, notes), contents);
    } else {
      outer.push(entry);
    }
    await pace(contents.images.length + outer.length);
  }
  collect(sampleCollector(file, prefix, undefined), followLinks(outer, notes), contents);
}

function collect(collector: SampleCollector, entries: readonly TarEntry[], contents: Contents): void {
  for (const entry of entries) {
    if (!isWanted(entry.name, contents)) continue;
    const found = collector.add(entry);
    if (found === undefined) contents.ignored += 1;
    else if (found !== 'label') contents.images.push(found);
  }
  contents.hasRepeats ||= collector.hasRepeats;
}

/** Whether a member is part of the data set: not in a hidden folder, and none of WebDataset's "__meta__". */
function isWanted(name: string, { leftOut }: Contents): boolean {
  const folders = foldersOf(name);
  const at = folders.findIndex(isLeftOutFolder);
  if (at >= 0) leftOut.add(folders.slice(0, at + 1).join('/'));
  return at < 0 && !/^__[^/]*__(?:$|\/)/.test(name);
}

interface Labelled {
  readonly images: readonly Image[];
  readonly format: SourceFormat;
  readonly classes: ClassList;
  readonly labels: readonly number[];
  readonly targets?: readonly Uint8Array[];
  readonly warnings: readonly string[];
}

function labelImages(
  path: string,
  tars: readonly string[],
  { images: all, hasRepeats }: Contents,
  options: SourceOptions,
): Labelled {
  const { groundTruth, classes: given } = options;
  const own = classesBeside(tars);
  const certain = groundTruth === undefined ? certainLabels(all, given ?? own) : undefined;
  if (certain !== undefined) {
    const labelled = labelsBeside(path, all, certain, own, options);
    const folders = new Set(labelled.images.map((image) => foldersOf(image.path).join('/'))).size;
    if (!certain.title.startsWith('.t') || folders < 2) return labelled;
    const note = `the ${certain.title} members are the labels, not the ${folders} folders that the images lie in`;
    return { ...labelled, warnings: [note, ...labelled.warnings] };
  }
  const { images, warnings } = withoutBeside(hasRepeats ? lastOfEachName(all) : all);
  if (images.every(({ innerTar }) => innerTar !== undefined)) {
    const names = images.map(({ innerTar }) => innerTar!);
    return { images, format: 'tar-of-tars', warnings, ...labelNames(names, given, path) };
  }
  const isInFolders = images.every((image) => foldersOf(image.path).length > 0);
  const truth = groundTruth ?? (isInFolders ? undefined : groundTruthBeside(tars[0]!));
  if (truth !== undefined) {
    const names = images.map((image) => basename(image.path));
    return { images, format: 'tar', warnings, ...readGroundTruth(truth, names, given) };
  }
  if (isInFolders) {
    const { chosen, names } = inClassFolders(path, images, options.split);
    const texts = chosen.reduce((count, { sample }) => count + Math.sign(sample.labels.size), 0);
    return {
      images: chosen,
      format: 'tar',
      warnings: [
        ...warnings,
        ...splitNameWarnings([...new Set(names)]),
        ...(texts === 0 ? [] : [`the texts beside ${texts} images are no labels: the folders are the classes`]),
      ],
      ...labelNames(names, given, path),
    };
  }
  if (tars.length > 1 && given === undefined && tars.every((tar) => /^n\d{8}$/.test(stem(tar)))) {
    const names = images.map(({ extent }) => stem(extent.path));
    return { images, format: 'tar-of-tars', warnings, ...labelNames(names, given, path) };
  }
  const possible = possibleLabels(all);
  if (possible !== undefined) {
    const labelled = labelsBeside(path, all, possible, own, options);
    const note = `nothing but the ${possible.title} members beside the images can be labels: ${labelled.classes.ids.length} classes`;
    return { ...labelled, warnings: [note, ...labelled.warnings] };
  }
  throw new LowrankError('INPUT', `the ${images.length} images have no labels`, {
    place: path,
    remedy: 'put them into class folders, add .cls members (WebDataset), or give labels: --ground-truth',
  });
}

/** Of members of one name the last counts, as when a tar is unpacked. */
function lastOfEachName(images: readonly Image[]): readonly Image[] {
  const last = new Map(images.map((image) => [image.name, image]));
  return images.filter((image) => last.get(image.name) === image);
}

/** The name of the class list that `lowrank-data pack` writes beside its shards. */
export const classListName = 'classes.txt';

/** The class list beside the tars. Throws INPUT where tars of several folders have different ones. */
function classesBeside(tars: readonly string[]): ClassList | undefined {
  const paths = [...new Set(tars.map((tar) => join(dirname(tar), classListName)))].filter((path) => existsSync(path));
  return sameClasses(paths.map((place) => ({ place, classes: readClassList(place) })));
}

function labelsBeside(
  path: string,
  all: readonly Image[],
  place: LabelPlace,
  own: ClassList | undefined,
  { classes: given }: SourceOptions,
): Labelled {
  const { images, values, warnings } = chooseImages(path, all, place);
  const nameOf = (index: number): string => `image '${images[index]!.name}'`;
  return { images, format: 'webdataset', warnings, ...classLabels(values, { given, own, place: path, nameOf }) };
}
