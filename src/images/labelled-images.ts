import { LowrankError } from '../errors.js';
import { type ClassList, readClassList } from '../data/class-list.js';
import { relabelled } from '../data/relabel.js';
import type { ImageSource } from '../data/types.js';
import { readModel } from '../graph/read.js';
import type { ClassOrder } from '../contracts/images.js';
import { imageHints } from './image-metadata.js';

/** Labelled images, and whose order of classes their labels count in. */
export interface LabelledImages {
  readonly source: ImageSource;
  readonly order: ClassOrder;
}

/** Who says which classes the outputs of a model are. */
export interface ClassSources {
  /** File of the user: its order counts, and every class of the images must be in it. */
  readonly path: string | undefined;
  /** What the model says. */
  readonly model: ClassList | undefined;
}

/**
 * Opens labelled images in the classes of the user, else in those that the model names where all of the images are among
 * them, else in the images' own. Throws what `open` throws.
 */
export async function openLabelled(
  open: (classes: ClassList | undefined) => Promise<ImageSource>,
  { path, model }: ClassSources,
): Promise<LabelledImages> {
  const orderOf = (source: ImageSource, from: ClassOrder['from']): LabelledImages => ({
    source,
    order: { count: source.classes.length, from },
  });
  if (path !== undefined) return orderOf(await open(readClassList(path)), 'option');
  if (model === undefined) return orderOf(await open(undefined), 'images');
  let source: ImageSource;
  try {
    source = await open(undefined);
  } catch (error) {
    if (!(error instanceof LowrankError) || error.code === 'ABORTED') throw error;
    // Numbers with gaps, or none that say what they count: a list may be what is missing.
    const inOrder = await open(model).catch(() => {
      throw error;
    });
    return orderOf(inOrder, 'metadata');
  }
  const inOrder = relabelled(source, model);
  if (inOrder !== undefined) return orderOf(inOrder, 'metadata');
  if (source.classes.length !== model.ids.length) return orderOf(source, 'images');
  const warning = `the classes of the images (${shown(source.titles)}) are not those that the model names (${shown(model.titles)}): they count in their own order; --classes gives another`;
  return orderOf({ ...source, warnings: [...source.warnings, warning] }, 'images');
}

function shown(titles: readonly string[]): string {
  return `${titles
    .slice(0, 3)
    .map((title) => `'${title}'`)
    .join(', ')}${titles.length > 3 ? ', …' : ''}`;
}

/** The classes that a model names, unless its first output has another number of them. Throws what `readModel` throws. */
export function classesOfModel(path: string | Uint8Array): ClassList | undefined {
  const model = readModel(path);
  try {
    const { classes } = imageHints(model.metadata);
    const dims = model.graph.outputs[0]?.declared?.dims?.slice(1);
    const isOther = dims?.every((dim) => typeof dim === 'number' && dim !== classes?.ids.length) === true;
    return isOther ? undefined : classes;
  } finally {
    model.file?.close();
  }
}
