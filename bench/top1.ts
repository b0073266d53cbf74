// Top-1 on real images right after conversion, without fine-tuning: what each initialization keeps of a trained model.
// npm run bench -- top1 [--images 600] [--models resnet50v2,resnet20,…] [--inits …] [--scales …]
// Every initialization sees the same pictures; differences to `spectral` at the same rank scale are paired.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { convert, type InitName, loadDriver } from '../src/index.js';
import { earlierResults, saveResult, sharedFolder } from './support/bench.js';
import { judge } from './support/judge.js';
import {
  cifarPreparation,
  folders,
  imagenetClasses,
  imagenetPreparation,
  imagenetSample,
  imagenette,
  type Picture,
  pixels,
  type Preparation,
  unitPreparation,
} from './support/pictures.js';
import { interval, pairedDifference } from './support/proportion.js';

const { values } = parseArgs({
  options: {
    images: { type: 'string', default: '600' },
    models: {
      type: 'string',
      default: 'mobilenetv2,resnet50v2,st-efficientnet,resnet20,resnet20-op7,conv8,st-resnet8',
    },
    inits: { type: 'string', default: 'spectral,spectral-scaled,lfai,relu-svd,baseline' },
    scales: { type: 'string', default: '0.25,0.5,0.75' },
  },
});

interface Subject {
  readonly file: string;
  readonly preparation: Preparation;
  /** Sets of pictures by name; each is a result of its own. */
  readonly sets: Readonly<Record<string, () => readonly Picture[]>>;
}

const count = Number(values.images);
const cifar = { 'cifar10-test': () => folders('cifar10/test', 100) };
const models: Readonly<Record<string, Subject>> = {
  resnet50v2: {
    file: 'resnet50v2-stages1to3-imagenette10.onnx',
    preparation: imagenetPreparation,
    sets: { 'imagenette-160': () => imagenette((_, position) => position, count) },
  },
  // 1,000 classes to choose from in both sets.
  mobilenetv2: {
    file: 'mobilenetv2-imagenet-fp32-int8fc.onnx',
    preparation: imagenetPreparation,
    sets: {
      'imagenet-sample': imagenetSample,
      'imagenette-160': () => {
        const classes = imagenetClasses();
        return imagenette((id) => classes.get(id)!, count);
      },
    },
  },
  'st-efficientnet': {
    file: 'st-efficientnet-lc-flowers5.onnx',
    preparation: unitPreparation(224, 224),
    sets: { flowers: () => folders('flowers/test', 60) },
  },
  resnet20: { file: 'cifar10-resnet20-pt1.6-op9-bn.onnx', preparation: cifarPreparation, sets: cifar },
  'resnet20-op7': {
    file: 'cifar10-resnet20-pt1.5-op7-initinputs.onnx',
    preparation: { ...imagenetPreparation, shorterSide: null, side: 32 },
    sets: cifar,
  },
  conv8: { file: 'cifar10-conv8-pt1.11-op9.onnx', preparation: cifarPreparation, sets: cifar },
  'st-resnet8': { file: 'st-resnetv1-8-cifar10.onnx', preparation: unitPreparation(32, null), sets: cifar },
};

interface Result {
  readonly model: string;
  readonly images: string;
  readonly n: number;
  readonly init: string;
  readonly rankScale: number | null;
  readonly top1: number;
  readonly ci95: readonly [number, number];
  /** top1 − that of `spectral`, on the same images; null where there is nothing to compare with. */
  readonly overSpectral: { readonly difference: number; readonly ci95: readonly [number, number] } | null;
  readonly paramsRatio: number;
  readonly macsRatio: number;
}

const driver = await loadDriver();

const percent = (value: number): string => (100 * value).toFixed(1);
const folder = mkdtempSync(join(tmpdir(), 'lowrank-top1-'));
const results: Result[] = [];

function add(result: Result): void {
  results.push(result);
  const { overSpectral: over } = result;
  const paired =
    over === null ? '' : `, over spectral ${percent(over.difference)} [${over.ci95.map(percent).join(', ')}]`;
  process.stdout.write(
    `${result.model} ${result.images} (n = ${result.n})  ${result.init} ${result.rankScale ?? ''}: ${percent(result.top1)} % ` +
      `[${result.ci95.map(percent).join(', ')}]${paired}, params ×${result.paramsRatio.toFixed(3)} MACs ×${result.macsRatio.toFixed(3)}\n`,
  );
}

try {
  for (const name of values.models.split(',')) {
    const { file, preparation, sets } = models[name]!;
    const path = join(sharedFolder, 'data/models', file);
    const pictures = Object.entries(sets).map(([set, list]) => ({ set, list: list() }));
    const loaded = await Promise.all(
      pictures.map(async ({ set, list }) => ({
        set,
        list,
        inputs: await Promise.all(list.map(async (picture) => pixels(picture.file, preparation))),
      })),
    );
    const spectral = new Map<string, readonly boolean[]>();
    const measure = async (
      model: string,
      variant: Pick<Result, 'init' | 'rankScale' | 'paramsRatio' | 'macsRatio'>,
    ): Promise<void> => {
      for (const { set, list, inputs } of loaded) {
        const right = await judge(driver, model, inputs, list, preparation.side);
        const hits = right.filter(Boolean).length;
        const key = `${set} ${variant.rankScale}`;
        if (variant.init === 'spectral') spectral.set(key, right);
        const reference = spectral.get(key);
        add({
          model: name,
          images: set,
          n: list.length,
          ...variant,
          top1: hits / list.length,
          ci95: interval(hits, list.length),
          overSpectral:
            variant.init === 'spectral' || reference === undefined ? null : pairedDifference(right, reference),
        });
      }
    };
    await measure(path, { init: 'original', rankScale: null, paramsRatio: 1, macsRatio: 1 });
    for (const rankScale of values.scales.split(',').map(Number)) {
      for (const init of values.inits.split(',') as InitName[]) {
        const output = join(folder, 'out.onnx');
        const { totals } = await convert(path, { output, force: true, init, rankScale, verify: false });
        await measure(output, { init, rankScale, paramsRatio: totals.params.ratio, macsRatio: totals.macs.ratio });
      }
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}
// Models that were not part of this run keep what was measured before.
const earlier = earlierResults<Result>('top1', (result) => JSON.stringify(result));
const others = [...earlier.values()].filter(({ model }) => !values.models.split(',').includes(model));
saveResult('top1', { results: [...others, ...results] });
