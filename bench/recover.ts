// What a training towards the original brings back on pictures without labels, by seed, beside the start and the original, on the
// same pictures, paired; no picture of the evaluation is seen before. Starts are conversions fitted to the same pictures.
// npm run bench -- recover [--cases resnet20,…] [--budgets 0.25,…] [--seeds 3] [--init whitened] [--steps 600] [--label-weight 0.5]
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { calibration, convert, evaluateModel, type InitName, recover, type RecoverReport } from '../src/index.js';
import { earlierResults, saveResult } from './support/bench.js';
import { cases as models, shared } from './support/cases.js';

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: 'efficientnet,resnet20,resnet8,resnet50v2,mobilenetv2' },
    budgets: { type: 'string', default: '' },
    seeds: { type: 'string', default: '3' },
    'first-seed': { type: 'string', default: '0' },
    /** Of the conversion; '': the default. */
    init: { type: 'string', default: '' },
    steps: { type: 'string', default: '' },
    'label-weight': { type: 'string', default: '0' },
    images: { type: 'string', default: '1000' },
  },
});

interface Case {
  readonly budgets: readonly number[];
  /** Pictures to learn from, drawn evenly over the folders; default: all. */
  readonly pictures?: number;
  readonly settings: { readonly batchSize: number; readonly steps: number; readonly augment: 'pad' | 'crop' };
}

const small = { batchSize: 32, steps: 1000, augment: 'pad' } as const;
const cases: Readonly<Record<string, Case>> = {
  efficientnet: { budgets: [0.51, 0.44, 0.38], settings: { batchSize: 16, steps: 600, augment: 'crop' } },
  resnet20: { budgets: [0.25], settings: small },
  resnet8: { budgets: [0.51], settings: small },
  resnet50v2: {
    budgets: [0.45, 0.3, 0.2],
    pictures: 1000,
    settings: { batchSize: 16, steps: 300, augment: 'crop' },
  },
  mobilenetv2: { budgets: [0.8], pictures: 1000, settings: { batchSize: 16, steps: 300, augment: 'crop' } },
};

interface Result {
  readonly model: string;
  readonly macsBudget: number;
  readonly init: string;
  readonly labelWeight: number;
  readonly steps: number;
  readonly seed: number;
  /** Pictures that were learned from. */
  readonly pictures: number;
  readonly n: number;
  readonly original: number;
  readonly start: number;
  readonly top1: number;
  readonly ci95: readonly [number, number];
  /** top1 − that of the original, and − that of the start, on the same pictures. */
  readonly overOriginal: { readonly difference: number; readonly ci95: readonly [number, number] };
  readonly overStart: { readonly difference: number; readonly ci95: readonly [number, number] };
  readonly recovery: Pick<RecoverReport, 'rate' | 'start' | 'written' | 'seconds' | 'stepsPerSecond' | 'retreats'>;
}

const keyOf = ({ model, macsBudget, init, labelWeight, steps, seed }: Result): string =>
  [model, macsBudget, init, labelWeight, steps, seed].join(' ');
const results = earlierResults<Result>('recover', keyOf);
const percent = (value: number): string => (100 * value).toFixed(1);
const folder = mkdtempSync(join(tmpdir(), 'lowrank-recover-'));

/** Links to so many pictures of each folder of a data set. */
function some(source: string, count: number): string {
  const target = join(folder, 'some');
  rmSync(target, { recursive: true, force: true });
  const names = readdirSync(source);
  for (const name of names) {
    mkdirSync(join(target, name), { recursive: true });
    const files = readdirSync(join(source, name)).sort();
    for (const file of files.slice(0, Math.ceil(count / names.length))) {
      symlinkSync(resolve(source, name, file), join(target, name, file));
    }
  }
  return target;
}

try {
  for (const model of values.cases.split(',')) {
    const { file, normalization, images, classes } = models[model]!;
    const { budgets, pictures, settings } = cases[model]!;
    const path = shared(`models/${file}`);
    const { fit: all, val } = images(folder);
    const fit = pictures === undefined ? all : some(all, pictures);
    const labelWeight = Number(values['label-weight']);
    const steps = values.steps === '' ? settings.steps : Number(values.steps);
    for (const macsBudget of values.budgets === '' ? budgets : values.budgets.split(',').map(Number)) {
      const start = join(folder, `${model}-${macsBudget}-${values.init}.onnx`);
      if (!existsSync(start)) {
        const init = values.init === '' ? {} : { init: values.init as InitName };
        const calibrate = calibration(fit, { normalization });
        await convert(path, { output: start, macsBudget, verify: false, calibrate, ...init });
      }
      const evaluation = { normalization, limit: Number(values.images) };
      const versusOriginal = await evaluateModel({
        model: start,
        versus: path,
        data: val,
        classes,
        settings: evaluation,
      });
      for (let seed = Number(values['first-seed']); seed < Number(values.seeds); seed++) {
        const output = join(folder, 'recovered.onnx');
        const asked = { ...settings, steps, seed, labelWeight, normalization };
        const call = { model: start, teacher: path, data: fit, classes, output, force: true };
        const report = await recover({ ...call, settings: asked });
        const [overOriginal, overStart] = [
          await evaluateModel({ model: output, versus: path, data: val, classes, settings: evaluation }),
          await evaluateModel({ model: output, versus: start, data: val, classes, settings: evaluation }),
        ];
        const { rate, start: before, written, seconds, stepsPerSecond, retreats } = report;
        const result: Result = {
          ...{ model, macsBudget, init: values.init, labelWeight, steps, seed },
          pictures: report.data.images,
          n: overOriginal.n,
          original: overOriginal.versus!.top1,
          start: versusOriginal.top1,
          top1: overOriginal.top1,
          ci95: overOriginal.ci95,
          overOriginal: { difference: overOriginal.versus!.difference, ci95: overOriginal.versus!.ci95 },
          overStart: { difference: overStart.versus!.difference, ci95: overStart.versus!.ci95 },
          recovery: { rate, start: before, written, seconds, stepsPerSecond, retreats },
        };
        results.set(keyOf(result), result);
        process.stdout.write(
          `${model} ${macsBudget} seed ${seed}: ${percent(result.start)} -> ${percent(result.top1)} [${result.ci95.map(percent).join(', ')}] of ${percent(result.original)} (n = ${result.n}), ` +
            `over the start ${percent(result.overStart.difference)} [${result.overStart.ci95.map(percent).join(', ')}], rate ${rate.lr}, agreement ${percent(before.agreement!)} -> ${percent(written!.agreement!)}, ${seconds.total.toFixed(0)} s\n`,
        );
        saveResult('recover', { results: [...results.values()] });
      }
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}
