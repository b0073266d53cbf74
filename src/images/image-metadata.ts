import { type ClassList, plainClasses } from '../data/class-list.js';
import { namedNormalizations, NORMALIZATIONS, type Normalization } from '../data/normalize.js';
import type { Interpolation } from '../data/resample.js';
import { imageKeys } from '../graph/image-facts.js';
import { parseLiteral } from './python-literal.js';

/** How the shorter side, or all of an image, is resized: `pixels` are for images of `side`, where the metadata say one. */
export type ResizeHint =
  | { readonly kind: 'center-crop'; readonly pixels: number; readonly side: number | undefined }
  | { readonly kind: 'center-crop'; readonly share: number }
  | { readonly kind: 'stretch' };

/** What the `metadata_props` of a model say about its images. */
export interface ImageHints {
  readonly normalization: Normalization | undefined;
  /** Whether the normalization was put there by a command that had found it by BatchNormalization. */
  readonly isInferred: boolean;
  /** Side of the images in pixels. */
  readonly imageSize: number | undefined;
  readonly resize: ResizeHint | undefined;
  readonly interpolation: Interpolation | undefined;
  /** The type of the arrays that the normalization is of; undefined: it is of pictures. */
  readonly arrays: string | undefined;
  /** In the order of the outputs. */
  readonly classes: ClassList | undefined;
}

/**
 * Reads the keys that lowrank writes (`imageKeys`), those of timm (`mean`, `std`, `input_size`, `crop_pct`, `crop_mode`,
 * `interpolation`, `label_names`, `label_descriptions`), of Hugging Face (`image_mean`, `image_std`, `size`, `crop_size`,
 * `resample`, `id2label`), alone or in a JSON object under any key, and those of Ultralytics (`imgsz`, `names`, for images
 * from 0 to 1). What is written otherwise counts as not there.
 */
export function imageHints(metadata: ReadonlyMap<string, string>): ImageHints {
  const own = Object.fromEntries([...metadata].map(([key, text]) => [key, parseLiteral(text) ?? text]));
  const objects = [own, ...Object.values(own).flatMap((value) => objectsIn(value, deepest))];
  const isUltralytics = 'imgsz' in own && ('stride' in own || /ultralytics/i.test(metadata.get('author') ?? ''));
  const imageSize = first(objects, imageSizeIn);
  return {
    normalization: first(objects, normalizationIn) ?? (isUltralytics ? NORMALIZATIONS.unit : undefined),
    isInferred: imageKeys.normalization in own && own[imageKeys.normalizationFrom] === 'batch-normalization',
    imageSize,
    resize:
      first(objects, (entries) => resizeIn(entries, imageSize)) ??
      (isUltralytics ? { kind: 'center-crop', share: 1 } : undefined),
    interpolation: first(objects, interpolationIn),
    arrays: metadata.get(imageKeys.arrays),
    classes: first(objects, classesIn),
  };
}

/** Whether two normalizations are the same but for rounding. */
export function isSameNormalization(a: Normalization, b: Normalization): boolean {
  const isNear = (some: readonly number[], others: readonly number[]): boolean =>
    some.length === others.length && some.every((value, channel) => Math.abs(value - others[channel]!) < 1e-3);
  return isNear(a.mean, b.mean) && isNear(a.deviation, b.deviation);
}

/** The name of a normalization in `NORMALIZATIONS`; null where it is none of them. */
export function normalizationName(normalization: Normalization): string | null {
  const candidates = namedNormalizations(normalization.mean.length);
  return candidates.find(([, named]) => isSameNormalization(named, normalization))?.[0] ?? null;
}

type Entries = Readonly<Record<string, unknown>>;

/** Objects within objects are looked into so far: `config` holds `pretrained_cfg`. */
const deepest = 2;

function objectsIn(value: unknown, depth: number): readonly Entries[] {
  if (!isObject(value)) return [];
  return [value, ...(depth === 0 ? [] : Object.values(value).flatMap((inner) => objectsIn(inner, depth - 1)))];
}

function first<T>(objects: readonly Entries[], read: (entries: Entries) => T | undefined): T | undefined {
  for (const entries of objects) {
    const found = read(entries);
    if (found !== undefined) return found;
  }
  return undefined;
}

function normalizationIn(entries: Entries): Normalization | undefined {
  const own = entries[imageKeys.normalization];
  const named = Object.entries(NORMALIZATIONS).find(([name]) => name === own);
  if (named !== undefined) return named[1];
  if (isObject(own)) return normalizationOfNumbers(own['mean'], own['std'], false);
  const plain = normalizationOfNumbers(entries['mean'], entries['std']);
  return plain ?? normalizationOfNumbers(entries['image_mean'], entries['image_std']);
}

function normalizationOfNumbers(mean: unknown, std: unknown, mayBeBytes = true): Normalization | undefined {
  const [means, deviations] = [channelsOf(mean), channelsOf(std)];
  if (means === undefined || means.length !== deviations?.length || deviations.some((value) => value <= 0))
    return undefined;
  // In bytes, as OpenMMLab writes them.
  const scale = mayBeBytes && (Math.max(...means) > 2 || Math.max(...deviations) > 2) ? 255 : 1;
  const scaled = (values: readonly number[]): readonly number[] => values.map((value) => value / scale);
  return { mean: scaled(means), deviation: scaled(deviations) };
}

/** A number for each channel: three where there is one for all. */
function channelsOf(value: unknown): readonly number[] | undefined {
  const numbers = numbersOf(value);
  return numbers?.length === 1 ? [numbers[0]!, numbers[0]!, numbers[0]!] : numbers;
}

function imageSizeIn(entries: Entries): number | undefined {
  for (const key of [imageKeys.imageSize, 'input_size', 'imgsz', 'image_size', 'crop_size', 'size']) {
    const value = entries[key];
    const sides = isObject(value) ? [value['height'] ?? value['shortest_edge']] : value;
    const side = sideOf(numbersOf(sides)?.at(-1));
    if (side !== undefined) return side;
  }
  return undefined;
}

function sideOf(value: unknown): number | undefined {
  return Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= 65_535
    ? (value as number)
    : undefined;
}

function resizeIn(entries: Entries, imageSize: number | undefined): ResizeHint | undefined {
  const own = entries[imageKeys.resize];
  if (own === 'stretch') return { kind: 'stretch' };
  const pixels = sideOf(own);
  if (pixels !== undefined) return { kind: 'center-crop', pixels, side: imageSize };
  const { crop_pct: share, crop_mode: mode, size, crop_size: cropSize } = entries;
  if (typeof share === 'number' && share > 0 && share <= 1) {
    if (mode === undefined || mode === 'center') return { kind: 'center-crop', share };
    return mode === 'squash' && share === 1 ? { kind: 'stretch' } : undefined;
  }
  if (!isObject(size)) return undefined;
  const edge = sideOf(size['shortest_edge']);
  const crop = isObject(cropSize) ? sideOf(cropSize['height']) : undefined;
  if (edge !== undefined && crop !== undefined) return { kind: 'center-crop', pixels: edge, side: crop };
  const isWhole = sideOf(size['height']) !== undefined && entries['do_center_crop'] !== true;
  return isWhole && entries['image_mean'] !== undefined ? { kind: 'stretch' } : undefined;
}

/** Pillow's numbers of the two. */
const resampling: ReadonlyMap<unknown, Interpolation> = new Map<unknown, Interpolation>([
  ['bilinear', 'bilinear'],
  ['bicubic', 'bicubic'],
  [2, 'bilinear'],
  [3, 'bicubic'],
]);

function interpolationIn(entries: Entries): Interpolation | undefined {
  const { interpolation, resample } = entries;
  return resampling.get(entries[imageKeys.interpolation] ?? interpolation ?? resample);
}

function classesIn(entries: Entries): ClassList | undefined {
  const own = entries[imageKeys.classes];
  if (own !== undefined) return pairedClasses(own);
  const { label_names: ids, label_descriptions: descriptions } = entries;
  if (areTexts(ids)) {
    const titles = isObject(descriptions) ? descriptions : {};
    return distinct({ ids, titles: ids.map((id) => (typeof titles[id] === 'string' ? titles[id] : id)) });
  }
  for (const value of [entries['names'], entries['id2label']]) {
    const names = isObject(value) ? numbered(value) : value;
    if (areTexts(names)) return distinct(plainClasses(names));
  }
  return undefined;
}

/** "name", or ["identifier", "name for people"]. */
function pairedClasses(value: unknown): ClassList | undefined {
  if (!Array.isArray(value) || value.length === 0) return undefined;
  const pairs = (value as readonly unknown[]).map((item) => (typeof item === 'string' ? [item, item] : item));
  const isPair = (pair: unknown): pair is readonly [string, string] => areTexts(pair) && pair.length === 2;
  if (!pairs.every(isPair)) return undefined;
  return distinct({ ids: pairs.map(([id]) => id), titles: pairs.map(([, title]) => title) });
}

/** The values of {"0": …, "1": …} in the order of the numbers; undefined where one is missing. */
function numbered(entries: Entries): readonly unknown[] | undefined {
  const { length } = Object.keys(entries);
  const values = Array.from({ length }, (_, index) => entries[index]);
  return values.includes(undefined) ? undefined : values;
}

/** By a name that several classes have none of them is found. */
function distinct(classes: ClassList): ClassList | undefined {
  return new Set(classes.ids).size === classes.ids.length ? classes : undefined;
}

function isObject(value: unknown): value is Entries {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function areTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.length > 0 && value.every((item) => typeof item === 'string');
}

function numbersOf(value: unknown): readonly number[] | undefined {
  const list = Array.isArray(value) ? (value as readonly unknown[]) : [value];
  return list.length > 0 && list.every((each) => typeof each === 'number' && Number.isFinite(each))
    ? (list as readonly number[])
    : undefined;
}
