import { LowrankError } from '../errors.js';
import type { ClassList } from './class-list.js';
import { isNumberLabel } from './labels.js';
import { imageFieldNames } from './source.js';
import {
  type Sample,
  type Image,
  possibleKinds,
  type LabelKind,
  type Beside,
  jsonKeys,
  wholeJson,
  partsOfName,
} from './webdataset.js';

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
