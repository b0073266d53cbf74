import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { sharedFolder } from './bench.js';

/** A picture file and the index of its class. */
export interface Picture {
  readonly file: string;
  readonly label: number;
}

const images = join(sharedFolder, 'data/images');

/** How a model was trained to see pictures. */
export interface Preparation {
  /** Pixels of the shorter side; null: as the file has it. */
  readonly shorterSide: number | null;
  /** Side of the square cut out of the middle. */
  readonly side: number;
  readonly mean: readonly number[];
  readonly deviation: readonly number[];
}

export const imagenetPreparation: Preparation = {
  shorterSide: 256,
  side: 224,
  mean: [0.485, 0.456, 0.406],
  deviation: [0.229, 0.224, 0.225],
};
/** The mean and deviation that models trained on CIFAR-10 mostly take. */
export const cifarPreparation: Preparation = {
  shorterSide: null,
  side: 32,
  mean: [0.4914, 0.4822, 0.4465],
  deviation: [0.2023, 0.1994, 0.201],
};
/** Values from 0 to 1. */
export const unitPreparation = (side: number, shorterSide: number | null): Preparation => ({
  shorterSide,
  side,
  mean: [0, 0, 0],
  deviation: [1, 1, 1],
});

/** Index of each of ImageNet's 1,000 classes by its WordNet id. */
export function imagenetClasses(): ReadonlyMap<string, number> {
  const entries = JSON.parse(readFileSync(join(images, 'imagenet_class_index.json'), 'utf8')) as Record<
    string,
    [string, string]
  >;
  return new Map(Object.entries(entries).map(([index, [id]]) => [id, Number(index)]));
}

/**
 * The first `count` pictures of Imagenette's validation folder, as many of each of its ten classes, their shorter side 160
 * pixels. A network trained on 224 sees them enlarged: some 10 points of top-1 below what it reaches on full-size pictures.
 */
export function imagenette(label: (id: string, position: number) => number, count: number): Picture[] {
  const root = join(images, 'imagenette-160/val');
  const classes = readdirSync(root).sort();
  return classes.flatMap((id, position) =>
    readdirSync(join(root, id))
      .sort()
      .slice(0, Math.ceil(count / classes.length))
      .map((name) => ({ file: join(root, id, name), label: label(id, position) })),
  );
}

/** Full-size pictures, one of each of 100 classes. */
export function imagenetSample(): Picture[] {
  const classes = imagenetClasses();
  const root = join(images, 'imagenet-sample');
  return readdirSync(root)
    .sort()
    .map((name) => ({ file: join(root, name), label: classes.get(name.split('_')[0]!)! }));
}

/** A folder of pictures for each class, the classes in the order of their names; the first `perClass` of each. */
export function folders(path: string, perClass: number): Picture[] {
  const root = join(images, path);
  return readdirSync(root)
    .sort()
    .flatMap((name, label) =>
      readdirSync(join(root, name))
        .sort()
        .slice(0, perClass)
        .map((file) => ({ file: join(root, name, file), label })),
    );
}

/** [3, side, side]: resized bilinearly, the middle of it, greyscale as three equal channels. */
export async function pixels(file: string, { shorterSide, side, mean, deviation }: Preparation): Promise<Float32Array> {
  let picture = sharp(file).toColourspace('srgb').removeAlpha();
  if (shorterSide !== null) picture = picture.resize(shorterSide, shorterSide, { fit: 'outside', kernel: 'linear' });
  // Raw: a JPEG in between would be compressed a second time.
  const { data, info } = await picture.raw().toBuffer({ resolveWithObject: true });
  const { width, height, channels } = info;
  const [left, top] = [Math.round((width - side) / 2), Math.round((height - side) / 2)];
  const result = new Float32Array(3 * side * side);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const from = ((top + y) * width + left + x) * channels;
      for (let c = 0; c < 3; c++) {
        const value = data[from + (channels === 3 ? c : 0)]!;
        result[(c * side + y) * side + x] = (value / 255 - mean[c]!) / deviation[c]!;
      }
    }
  }
  return result;
}
