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
const mean = [0.485, 0.456, 0.406];
const deviation = [0.229, 0.224, 0.225];
const side = 224;

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

/** [3, 224, 224]: shorter side to 256 bilinearly, centre 224², greyscale as three equal channels, ImageNet's mean and deviation. */
export async function pixels(file: string): Promise<Float32Array> {
  // Raw in between: a JPEG there would be compressed a second time.
  const { data: resized, info } = await sharp(file)
    .toColourspace('srgb')
    .removeAlpha()
    .resize(256, 256, { fit: 'outside', kernel: 'linear' })
    .raw()
    .toBuffer({ resolveWithObject: true });
  const { width, height, channels } = info;
  const [left, top] = [Math.round((width - side) / 2), Math.round((height - side) / 2)];
  const result = new Float32Array(3 * side * side);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const from = ((top + y) * width + left + x) * channels;
      for (let c = 0; c < 3; c++) {
        const value = resized[from + (channels === 3 ? c : 0)]!;
        result[(c * side + y) * side + x] = (value / 255 - mean[c]!) / deviation[c]!;
      }
    }
  }
  return result;
}
