import { NORMALIZATIONS, type Normalization } from '../data/normalize.js';

/** What the `metadata_props` of a model say about its images. */
export interface ImageHints {
  readonly normalization: Normalization | undefined;
  /** Side of the images in pixels. */
  readonly imageSize: number | undefined;
}

/**
 * Reads the keys that lowrank writes (`lowrank.normalization`, `lowrank.image_size`), those of timm (`mean`, `std`,
 * `input_size`) and of Hugging Face's image processors (`image_mean`, `image_std`, `size`), alone or in a JSON object under
 * any key, and those of Ultralytics (`imgsz`, for images from 0 to 1). What is written otherwise counts as not there.
 */
export function imageHints(metadata: ReadonlyMap<string, string>): ImageHints {
  const own = new Map([...metadata].map(([key, text]) => [key, parsed(text)]));
  const objects = [Object.fromEntries(own), ...[...own.values()].filter(isObject)];
  const isUltralytics = own.has('imgsz') && (own.has('stride') || /ultralytics/i.test(metadata.get('author') ?? ''));
  const unit = isUltralytics ? NORMALIZATIONS.unit : undefined;
  return {
    normalization: first(objects, normalizationIn) ?? unit,
    imageSize: first(objects, imageSizeIn),
  };
}

/** The name of a normalization in `NORMALIZATIONS`; null where it is none of them. */
export function normalizationName(normalization: Normalization): string | null {
  const isNear = (a: readonly number[], b: readonly number[]): boolean =>
    a.every((value, channel) => Math.abs(value - b[channel]!) < 1e-3);
  const named = Object.entries(NORMALIZATIONS).find(
    ([, { mean, deviation }]) => isNear(mean, normalization.mean) && isNear(deviation, normalization.deviation),
  );
  return named?.[0] ?? null;
}

type Entries = Readonly<Record<string, unknown>>;

function first<T>(objects: readonly Entries[], read: (entries: Entries) => T | undefined): T | undefined {
  for (const entries of objects) {
    const found = read(entries);
    if (found !== undefined) return found;
  }
  return undefined;
}

function normalizationIn(entries: Entries): Normalization | undefined {
  const own = entries['lowrank.normalization'];
  const named = Object.entries(NORMALIZATIONS).find(([name]) => name === own);
  if (named !== undefined) return named[1];
  if (isObject(own)) return normalizationOfNumbers(own['mean'], own['std']);
  const plain = normalizationOfNumbers(entries['mean'], entries['std']);
  return plain ?? normalizationOfNumbers(entries['image_mean'], entries['image_std']);
}

function normalizationOfNumbers(mean: unknown, std: unknown): Normalization | undefined {
  const [means, deviations] = [channelsOf(mean), channelsOf(std)];
  if (means === undefined || deviations === undefined || deviations.some((value) => value <= 0)) return undefined;
  // In bytes, as OpenMMLab writes them.
  const scale = Math.max(...means) > 2 || Math.max(...deviations) > 2 ? 255 : 1;
  const scaled = ([red, green, blue]: Channels): Channels => [red / scale, green / scale, blue / scale];
  return { mean: scaled(means), deviation: scaled(deviations) };
}

type Channels = Normalization['mean'];

/** Three numbers, or one for all channels. */
function channelsOf(value: unknown): Channels | undefined {
  const numbers = numbersOf(value);
  if (numbers?.length === 3) return numbers as unknown as Channels;
  return numbers?.length === 1 ? [numbers[0]!, numbers[0]!, numbers[0]!] : undefined;
}

function imageSizeIn(entries: Entries): number | undefined {
  for (const key of ['lowrank.image_size', 'input_size', 'imgsz', 'image_size', 'crop_size', 'size']) {
    const value = entries[key];
    const sides = isObject(value) ? [value['height'] ?? value['shortest_edge']] : value;
    const side = numbersOf(sides)?.at(-1);
    if (side !== undefined && Number.isSafeInteger(side) && side >= 1 && side <= 65_535) return side;
  }
  return undefined;
}

function isObject(value: unknown): value is Entries {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function numbersOf(value: unknown): readonly number[] | undefined {
  const list = Array.isArray(value) ? (value as readonly unknown[]) : [value];
  return list.length > 0 && list.every((each) => typeof each === 'number' && Number.isFinite(each))
    ? (list as readonly number[])
    : undefined;
}

/** JSON; a Python tuple or a list without brackets as a list; else the text. */
function parsed(text: string): unknown {
  const list = text.length > 200 ? null : /^\s*[([]?([^()[\]{}"']*?),?\s*[)\]]?\s*$/.exec(text);
  for (const candidate of [text, ...(list === null ? [] : [`[${list[1]}]`])]) {
    try {
      return JSON.parse(candidate) as unknown;
    } catch {
      // Not written this way.
    }
  }
  return text;
}
