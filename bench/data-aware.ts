// Top-1 right after conversion at equal MACs, without fine-tuning: initializations that look at real inputs beside those that do not.
// npm run bench -- data-aware [--models mobilenetv2,resnet50v2] [--inits …] [--budgets …] [--sets imagenette-160,…] [--calibrate-images 256] [--images 600]
// Calibration on images without their labels, evaluation on others of the same kind: Imagenette's training pictures for its validation ones;
// each half of imagenet-sample for the other half, since there are no more of these.
// Differences to `lfai` at the same budget are paired.
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { calibration, convert, type InitName, loadDriver } from '../src/index.js';
import { earlierResults, saveResult, sharedFolder } from './support/bench.js';
import { judge } from './support/judge.js';
import {
  imagenetClasses,
  imagenetPreparation,
  imagenetSample,
  imagenette,
  type Picture,
  pixels,
} from './support/pictures.js';
import { interval, pairedDifference } from './support/proportion.js';

const { values } = parseArgs({
  options: {
    images: { type: 'string', default: '600' },
    models: { type: 'string', default: 'mobilenetv2,resnet50v2' },
    inits: { type: 'string', default: 'lfai,spectral,whitened,lfai-data,spectral-scaled,relu-svd,baseline' },
    budgets: { type: 'string', default: '' },
    sets: { type: 'string', default: '' },
    'calibrate-images': { type: 'string', default: '256' },
  },
});

interface Subject {
  readonly file: string;
  /** Fractions of the multiply-accumulates. */
  readonly budgets: readonly number[];
  readonly sets: Readonly<Record<string, () => readonly Fold[]>>;
}

/** Pictures to classify, and the folder of others to calibrate on. */
interface Fold {
  readonly calibration: string;
  readonly pictures: readonly Picture[];
}

const count = Number(values.images);
const folder = mkdtempSync(join(tmpdir(), 'lowrank-data-aware-'));

function imagenetteFold(label: (id: string, position: number) => number): Fold[] {
  const calibration = join(sharedFolder, 'data/images/imagenette-160/train');
  return [{ calibration, pictures: imagenette(label, count) }];
}

/** Two halves, each with a folder of the other. */
function imagenetHalves(): Fold[] {
  const all = imagenetSample();
  return [0, 1].map((half) => {
    const calibration = join(folder, `half-${half}`);
    mkdirSync(calibration);
    all.forEach(({ file }, index) => {
      if (index % 2 !== half) copyFileSync(file, join(calibration, basename(file)));
    });
    return { calibration, pictures: all.filter((_, index) => index % 2 === half) };
  });
}

const models: Readonly<Record<string, Subject>> = {
  mobilenetv2: {
    file: 'mobilenetv2-imagenet-fp32-int8fc.onnx',
    budgets: [0.95, 0.9, 0.85, 0.8],
    // 1,000 classes to choose from in both sets.
    sets: {
      'imagenet-sample': imagenetHalves,
      'imagenette-160': () => {
        const classes = imagenetClasses();
        return imagenetteFold((id) => classes.get(id)!);
      },
    },
  },
  resnet50v2: {
    file: 'resnet50v2-stages1to3-imagenette10.onnx',
    budgets: [0.5, 0.4, 0.3, 0.25],
    sets: { 'imagenette-160': () => imagenetteFold((_, position) => position) },
  },
};

interface Result {
  readonly model: string;
  readonly images: string;
  readonly n: number;
  readonly init: string;
  readonly macsBudget: number | null;
  readonly top1: number;
  readonly ci95: readonly [number, number];
  /** top1 − that of `lfai`, on the same images; null where there is nothing to compare with. */
  readonly overLfai: { readonly difference: number; readonly ci95: readonly [number, number] } | null;
  readonly paramsRatio: number;
  readonly macsRatio: number;
  readonly seconds: number;
}

const needsImages: ReadonlySet<string> = new Set<InitName>(['whitened', 'lfai-data']);
type Variant = Omit<Result, 'model' | 'images' | 'n' | 'top1' | 'ci95' | 'overLfai'>;

const driver = await loadDriver();
const keyOf = ({ model, images, init, macsBudget }: Result): string => [model, images, init, macsBudget].join(' ');
const results = earlierResults<Result>('data-aware', keyOf);
const percent = (value: number): string => (100 * value).toFixed(1);

function add(result: Result): void {
  results.set(keyOf(result), result);
  const { overLfai: over } = result;
  const paired = over === null ? '' : `, over lfai ${percent(over.difference)} [${over.ci95.map(percent).join(', ')}]`;
  process.stdout.write(
    `${result.model} ${result.images} (n = ${result.n})  ${result.init} ${result.macsBudget ?? ''}: ${percent(result.top1)} % ` +
      `[${result.ci95.map(percent).join(', ')}]${paired}, params ×${result.paramsRatio.toFixed(3)} MACs ×${result.macsRatio.toFixed(3)}, ${result.seconds.toFixed(0)} s\n`,
  );
  // Saved one by one: models, budgets and initializations that are not part of this run keep what was measured before.
  saveResult('data-aware', { calibrationImages: Number(values['calibrate-images']), results: [...results.values()] });
}

try {
  for (const name of values.models.split(',')) {
    const { file, budgets, sets } = models[name]!;
    const path = join(sharedFolder, 'data/models', file);
    const chosen = values.budgets === '' ? budgets : values.budgets.split(',').map(Number);
    // `lfai` first: the others are compared with it.
    const inits = values.inits.split(',').sort((a, b) => Number(b === 'lfai') - Number(a === 'lfai')) as InitName[];
    for (const [set, foldsOf] of Object.entries(sets)) {
      if (values.sets !== '' && !values.sets.split(',').includes(set)) continue;
      const folds = await Promise.all(
        foldsOf().map(async ({ calibration: images, pictures }) => ({
          calibration: images,
          pictures,
          inputs: await Promise.all(pictures.map((picture) => pixels(picture.file, imagenetPreparation))),
        })),
      );
      const classify = async (file: string, fold: (typeof folds)[number]): Promise<readonly boolean[]> =>
        judge(driver, file, fold.inputs, fold.pictures, imagenetPreparation.side);
      let reference: readonly boolean[] | undefined;
      const report = (right: readonly boolean[], variant: Variant): void => {
        const hits = right.filter(Boolean).length;
        const n = right.length;
        if (variant.init === 'lfai') reference = right;
        const isCompared = variant.init !== 'lfai' && variant.macsBudget !== null && reference !== undefined;
        const overLfai = isCompared ? pairedDifference(right, reference!) : null;
        add({ model: name, images: set, n, ...variant, top1: hits / n, ci95: interval(hits, n), overLfai });
      };
      const original: boolean[] = [];
      for (const fold of folds) original.push(...(await classify(path, fold)));
      report(original, { init: 'original', macsBudget: null, paramsRatio: 1, macsRatio: 1, seconds: 0 });
      for (const macsBudget of chosen) {
        for (const init of inits) {
          const output = join(folder, 'out.onnx');
          const right: boolean[] = [];
          let totals = { params: { ratio: 1 }, macs: { ratio: 1 } };
          let seconds = 0;
          for (const [index, fold] of folds.entries()) {
            const images = Number(values['calibrate-images']);
            const calibrate = needsImages.has(init) ? calibration(fold.calibration, { images }) : undefined;
            if (index === 0 || calibrate !== undefined) {
              const started = performance.now();
              const call = { output, force: true, init, macsBudget, verify: false, calibrate };
              ({ totals } = await convert(path, call));
              seconds += (performance.now() - started) / 1000;
            }
            right.push(...(await classify(output, fold)));
          }
          report(right, {
            init,
            macsBudget,
            paramsRatio: totals.params.ratio,
            macsRatio: totals.macs.ratio,
            seconds,
          });
        }
        reference = undefined;
      }
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}
