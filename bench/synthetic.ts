// Top-1 right after conversion on pictures that a program drew, by how they are drawn, beside real pictures; nothing is trained.
// npm run bench -- synthetic [--models resnet20,resnet8,efficientnet] [--inits whitened,lfai-data] [--variants …] [--images 1000] [--seeds 1]
// Seeds draw other pictures: top-1 is the mean over them, `spread` the standard deviation.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  type Calibrate,
  calibration,
  convert,
  defaultRecipe,
  type InitName,
  loadDriver,
  type PictureRecipe,
  syntheticCalibration,
} from '../src/index.js';
import { earlierResults, saveResult, sharedFolder } from './support/bench.js';
import { judge } from './support/judge.js';
import { cifarPreparation, folders, type Preparation, pixels, unitPreparation } from './support/pictures.js';

const { values } = parseArgs({
  options: {
    models: { type: 'string', default: 'resnet20,resnet8' },
    inits: { type: 'string', default: 'whitened,lfai-data' },
    variants: { type: 'string', default: '' },
    images: { type: 'string', default: '1000' },
    seeds: { type: 'string', default: '1' },
  },
});

interface Subject {
  readonly file: string;
  readonly how: { readonly macsBudget: number } | { readonly rankScale: number };
  readonly preparation: Preparation;
  readonly normalization: string;
  readonly test: string;
  readonly classes: number;
  /** Real pictures of the same kind; null where there are none but those to classify. */
  readonly real: string | null;
}

const images = join(sharedFolder, 'data/images');
const cifar = { test: 'cifar10/test', classes: 10, real: join(images, 'cifar10/train') };
const subjects: Readonly<Record<string, Subject>> = {
  resnet20: {
    file: 'cifar10-resnet20-pt1.6-op9-bn.onnx',
    how: { macsBudget: 0.5 },
    preparation: cifarPreparation,
    normalization: 'cifar10',
    ...cifar,
  },
  resnet8: {
    file: 'st-resnetv1-8-cifar10.onnx',
    how: { rankScale: 0.3 },
    preparation: unitPreparation(32, null),
    normalization: 'unit',
    ...cifar,
  },
  efficientnet: {
    file: 'st-efficientnet-lc-flowers5.onnx',
    how: { macsBudget: 0.6 },
    preparation: unitPreparation(224, 256),
    normalization: 'unit',
    test: 'flowers/test',
    classes: 5,
    real: null,
  },
};

type Variant = { readonly images?: number } & Partial<PictureRecipe>;

const variants: Readonly<Record<string, Variant>> = {
  default: {},
  'images 64': { images: 64 },
  'images 128': { images: 128 },
  'images 512': { images: 512 },
  'images 1024': { images: 1024 },
  'noise none': { noiseShare: 0 },
  'noise half': { noiseShare: 0.5 },
  'noise only': { noiseShare: 1 },
  'noise over 0': { blend: 0 },
  'noise over 0.3': { blend: 0.3 },
  'spectrum 1.1': { spectrum: 1.1 },
  'spectrum 1.6': { spectrum: 1.6 },
  'color less': { correlation: 0.97 },
  'color more': { correlation: 0.8 },
  'contrast less': { color: 45, deviation: 40, between: 20 },
  'contrast more': { color: 80, deviation: 75, between: 40 },
  'all equally bright': { between: 0 },
  'shapes few': { shapes: [20, 120] },
  'shapes many': { shapes: [200, 1000] },
  'shapes small': { radius: [4, 120] },
  'shapes large': { radius: [14, 150] },
  'not shaded': { shade: 0 },
  'crop as of large pictures': { smallCrop: [0.25, 1] },
  rough: { radius: [4, 120], shade: 0, blend: 0.15, spectrum: 1.1, smallCrop: [0.25, 1] },
};

interface Result {
  readonly model: string;
  readonly init: string;
  readonly pictures: string;
  readonly recipe: Variant | null;
  readonly n: number;
  readonly seeds: number;
  readonly top1: number;
  readonly spread: number;
  readonly macsRatio: number;
  readonly seconds: number;
}

const folder = mkdtempSync(join(tmpdir(), 'lowrank-synthetic-'));
const driver = await loadDriver();
const results = earlierResults<Result>('synthetic', keyOf);
const seeds = Number(values.seeds);

function keyOf({ model, init, pictures }: Result): string {
  return [model, init, pictures].join(' ');
}

function add(result: Result): void {
  results.set(keyOf(result), result);
  const { model, init, pictures, top1, spread, n, seconds } = result;
  process.stdout.write(
    `${model}  ${init}  ${pictures}: ${(100 * top1).toFixed(1)} % ± ${(100 * spread).toFixed(1)} (n = ${n}), ${seconds.toFixed(0)} s\n`,
  );
  saveResult('synthetic', { defaultRecipe, results: [...results.values()] });
}

try {
  for (const name of values.models.split(',')) {
    const subject = subjects[name]!;
    const path = join(sharedFolder, 'data/models', subject.file);
    const pictures = folders(subject.test, Math.ceil(Number(values.images) / subject.classes));
    const inputs = await Promise.all(pictures.map((picture) => pixels(picture.file, subject.preparation)));
    const measure = async (
      init: string,
      label: string,
      recipe: Variant | null,
      calibrateOf: (seed: number) => Calibrate | undefined,
    ): Promise<void> => {
      const started = performance.now();
      const shares: number[] = [];
      let macsRatio = 1;
      for (let seed = 0; seed < seeds; seed++) {
        const output = join(folder, 'out.onnx');
        const isConverted = init !== 'original';
        if (isConverted) {
          const call = { output, force: true, init: init as InitName, ...subject.how, verify: false };
          const { totals } = await convert(path, { ...call, calibrate: calibrateOf(seed) });
          macsRatio = totals.macs.ratio;
        }
        const right = await judge(driver, isConverted ? output : path, inputs, pictures, subject.preparation.side);
        shares.push(right.filter(Boolean).length / right.length);
      }
      const top1 = shares.reduce((sum, share) => sum + share, 0) / seeds;
      const variance = shares.reduce((sum, share) => sum + (share - top1) ** 2, 0) / Math.max(1, seeds - 1);
      const seconds = (performance.now() - started) / 1000 / seeds;
      const about = { model: name, init, pictures: label, recipe, n: pictures.length, seeds };
      add({ ...about, top1, spread: Math.sqrt(variance), macsRatio, seconds });
    };
    const wanted = values.variants === '' ? ['none', 'real', ...Object.keys(variants)] : values.variants.split(',');
    if (wanted.includes('none')) {
      await measure('original', 'none', null, () => undefined);
      await measure('spectral', 'none', null, () => undefined);
    }
    for (const init of values.inits.split(',')) {
      for (const variant of wanted) {
        const { normalization, real } = subject;
        if (variant === 'real' && real !== null) {
          await measure(init, 'real', null, (seed) => calibration(real, { images: 256, normalization, seed }));
          continue;
        }
        const recipe = variants[variant];
        if (recipe === undefined) continue;
        const { images: count = 256, ...drawn } = recipe;
        const settings = { images: count, normalization, recipe: { ...defaultRecipe, ...drawn } };
        await measure(init, variant, recipe, (seed) => syntheticCalibration({ ...settings, seed }));
      }
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}
