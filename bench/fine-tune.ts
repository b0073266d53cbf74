// What conversion costs in accuracy and what recalibration and fine-tuning bring back, on real models and images.
// npm run bench -- fine-tune [--models resnet20,st-resnet8,flowers,resnet50v2] [--seeds 3] [--scales 0.25,0.5]
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { ConvertReport, EvalReport } from '../src/index.js';
import { saveResult, sharedFolder, timed } from './support/bench.js';

const { values } = parseArgs({
  options: {
    models: { type: 'string', default: 'resnet20,st-resnet8,flowers,resnet50v2' },
    seeds: { type: 'string', default: '3' },
    scales: { type: 'string', default: '0.25,0.5' },
  },
});

const images = join(sharedFolder, 'data/images');
const folder = mkdtempSync(join(tmpdir(), 'lowrank-fine-tune-'));

interface Case {
  readonly file: string;
  /** Training and validation images. */
  readonly data: () => { readonly train: string; readonly val: string };
  readonly input: readonly string[];
  readonly training: readonly string[];
}

/** Copies every `step`-th image of each class, or all others. */
function part(source: string, name: string, isChosen: (index: number) => boolean): string {
  const target = join(folder, name);
  for (const label of readdirSync(source)) {
    mkdirSync(join(target, label), { recursive: true });
    readdirSync(join(source, label))
      .sort()
      .filter((_, index) => isChosen(index))
      .forEach((file) => copyFileSync(join(source, label, file), join(target, label, file)));
  }
  return target;
}

const cifar = (): { train: string; val: string } => ({
  train: join(images, 'cifar10/train'),
  val: join(images, 'cifar10/test'),
});

const cases: Readonly<Record<string, Case>> = {
  resnet20: {
    file: 'cifar10-resnet20-pt1.6-op9-bn.onnx',
    data: cifar,
    input: ['--normalization', 'cifar10'],
    training: ['--epochs', '4', '--augment', 'pad', '--lr', '0.01', '--batch-size', '32'],
  },
  'st-resnet8': {
    file: 'st-resnetv1-8-cifar10.onnx',
    data: cifar,
    input: ['--normalization', 'unit'],
    training: ['--epochs', '4', '--augment', 'pad', '--lr', '0.01', '--batch-size', '32'],
  },
  flowers: {
    file: 'st-efficientnet-lc-flowers5.onnx',
    // There is no training part: two of three pictures of each class are.
    data: () => {
      const source = join(images, 'flowers/test');
      return {
        train: part(source, 'flowers-train', (index) => index % 3 !== 2),
        val: part(source, 'flowers-val', (index) => index % 3 === 2),
      };
    },
    input: ['--normalization', 'unit', '--image-size', '224'],
    training: ['--epochs', '6', '--lr', '0.005', '--min-scale', '0.35', '--batch-size', '16', '--cache-images', '1024'],
  },
  resnet50v2: {
    file: 'resnet50v2-stages1to3-imagenette10.onnx',
    // A third of the training pictures: on two cores an epoch of all takes minutes.
    data: () => ({
      train: part(join(images, 'imagenette-160/train'), 'imagenette-train', (index) => index % 3 === 0),
      val: join(images, 'imagenette-160/val'),
    }),
    input: ['--normalization', 'imagenet', '--image-size', '160'],
    training: ['--epochs', '2', '--lr', '0.005', '--min-scale', '0.35', '--batch-size', '16'],
  },
};

function lowrank(...words: readonly string[]): unknown {
  return JSON.parse(timed(process.execPath, ['bin/lowrank.js', ...words, '--json', '--quiet']).stdout);
}

const accuracy = (model: string, val: string, input: readonly string[]): EvalReport =>
  lowrank('eval', model, '--data', val, ...input) as EvalReport;

function spread(list: readonly number[]): { readonly mean: number; readonly deviation: number } {
  const mean = list.reduce((sum, value) => sum + value, 0) / list.length;
  const squares = list.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, deviation: list.length < 2 ? 0 : Math.sqrt(squares / (list.length - 1)) };
}

interface Row {
  readonly model: string;
  readonly rankScale: number;
  readonly recalibrated: boolean;
}

const percent = (share: number): string => (100 * share).toFixed(1);
const saved = 'bench/results/fine-tune.json';
const keyOf = ({ model, rankScale, recalibrated }: Row): string => [model, rankScale, recalibrated].join(' ');
/** Rows of models and scales that are not part of this run stay. */
const rows = new Map(
  (existsSync(saved) ? (JSON.parse(readFileSync(saved, 'utf8')) as { rows: Row[] }).rows : []).map((row) => [
    keyOf(row),
    row,
  ]),
);
process.stdout.write(
  '| model | rank scale | recalibrated | MACs | latency | original | converted | fine-tuned | within 1 point |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n',
);
try {
  for (const name of values.models.split(',')) {
    const { file, data, input, training } = cases[name]!;
    const original = join(sharedFolder, 'data/models', file);
    const { train, val } = data();
    const before = accuracy(original, val, input);
    for (const scale of values.scales.split(',')) {
      for (const isRecalibrated of [false, true]) {
        const converted = join(folder, `${name}-${scale}-${isRecalibrated}.onnx`);
        const report = lowrank(
          'convert',
          original,
          '-o',
          converted,
          '--rank-scale',
          scale,
          '--latency',
          ...(isRecalibrated ? ['--recalibrate', train, ...input] : []),
        ) as ConvertReport;
        const after = accuracy(converted, val, input);
        // Training normalizes with the batch, so that it begins with the same losses either way: measured once.
        const tuned = Array.from({ length: isRecalibrated ? Number(values.seeds) : 0 }, (_, seed) => {
          const output = join(folder, 'tuned.onnx');
          // Without validation images the last epoch is written: the best would be too good by selection.
          const words = ['--data', train, ...input, ...training, '--seed', String(seed), '-o', output];
          lowrank('train', converted, '--preset', 'fine-tune', ...words, '--force');
          return accuracy(output, val, input).top1;
        });
        const { mean, deviation } = spread(tuned);
        const row = {
          model: file,
          rankScale: Number(scale),
          recalibrated: isRecalibrated,
          macs: report.totals.macs.ratio,
          latency: report.totals.latencyMs?.ratio ?? null,
          n: before.n,
          original: before.top1,
          ci95: before.ci95,
          converted: after.top1,
          fineTuned: tuned.length === 0 ? null : { top1: tuned, mean, deviation },
          isWithinOnePoint: tuned.length === 0 ? null : mean >= before.top1 - 0.01,
        };
        rows.set(keyOf(row), row);
        process.stdout.write(
          `| ${file.replace('.onnx', '')} | ${scale} | ${isRecalibrated ? 'yes' : 'no'} | ${row.macs.toFixed(3)} | ${row.latency?.toFixed(3) ?? ''} | ${percent(before.top1)} | ${percent(after.top1)} | ${row.fineTuned === null ? '' : `${percent(mean)} ± ${percent(deviation)}`} | ${row.isWithinOnePoint === null ? '' : row.isWithinOnePoint ? 'yes' : 'no'} |\n`,
        );
        saveResult('fine-tune', {
          training: Object.fromEntries(Object.entries(cases).map(([key, one]) => [key, one.training])),
          rows: [...rows.values()],
        });
      }
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}
