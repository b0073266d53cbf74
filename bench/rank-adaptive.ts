// What trainings that find their ranks come to on MNIST at sizes like those that were published for LeNet5 (20-50-500-10): test
// accuracy of the last epoch of a training on all 60,000 pictures, with which nothing was chosen, and honest parameters: both
// factors, biases not counted, as published.
// npm run bench -- rank-adaptive [--methods augmented,dense] [--sizes 78850,29260,18880,18075,10090] [--seeds 5] [--epochs 20]
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  calibration,
  convert,
  create,
  drawOrthonormalPairs,
  inspect,
  train,
  type TrainOptions,
  type TrainReport,
  writeModel,
} from '../src/index.js';
import { earlierResults, saveResult } from './support/bench.js';
import { shared } from './support/cases.js';

const { values } = parseArgs({
  options: {
    /**
     * dense; augmented, parallel, kls, and with `-all` behind the name with pairs in place of the last layer too; warmup: a third of
     * the epochs in full rank, then spectral pairs; pairs: them from the start; converted: the dense one behind its epochs, as
     * lowrank-convert makes it smaller, and as many epochs more; pruned: the same with truncated singular value decompositions;
     * fixed, fixed-pairs: rank 20 from orthonormal bases with singular values that fall by --decays, by kls-fixed and as plain pairs.
     */
    methods: { type: 'string', default: 'dense,augmented' },
    sizes: { type: 'string', default: '78850,29260,18880,18075,10090' },
    seeds: { type: 'string', default: '5' },
    'first-seed': { type: 'string', default: '0' },
    epochs: { type: 'string', default: '20' },
    lr: { type: 'string', default: '0.1' },
    threads: { type: 'string', default: '2' },
    momentum: { type: 'string', default: '0.9' },
    decays: { type: 'string', default: '1,0.5,0.1' },
  },
});

interface Result {
  readonly method: string;
  /** Weights that were asked for; null: full rank. */
  readonly size: number | null;
  readonly epochs: number;
  readonly lr: number;
  readonly seed: number;
  /** Of the singular values that it began with, from one to the next. */
  readonly decay?: number;
  readonly top1: number;
  /** Before the training, of what a trained model was converted to. */
  readonly converted?: number;
  readonly ranks: readonly number[] | null;
  /** Weights of the result, biases not counted. */
  readonly weights: number;
  readonly seconds: number;
  /** Of `seconds`, in linear algebra beside the graphs. */
  readonly linearAlgebra: number | null;
}

/** Of the network in one piece. */
const [weights, biases] = [430_500, 580];
const keyOf = ({ method, size, epochs, lr, seed, decay }: Result): string =>
  [method, decay ?? size, epochs, lr, seed].join(' ');
const results = earlierResults<Result>('rank-adaptive', keyOf);
const folder = mkdtempSync(join(tmpdir(), 'lowrank-rank-adaptive-'));
const data = shared('mnist');

const isFixed = (method: string): boolean => method === 'fixed' || method === 'fixed-pairs';

/** Ranks that a network of that size has where all layers keep the same share: for pairs that are not chosen by a training. */
function shareOf(size: number): number {
  return (size + biases) / (weights + biases);
}

/** A factorized model of that size, by the conversion's default, or by truncated singular value decompositions. */
async function convertTo(model: string, size: number, kind: 'default' | 'spectral'): Promise<string> {
  const output = join(folder, `${kind}.onnx`);
  const usual = { output, force: true, keepFirst: false, paramsBudget: shareOf(size), verify: false } as const;
  const spectral = { init: 'spectral', calibrate: 'none', scheme: 'channel', minRank: 1 } as const;
  const settings = kind === 'spectral' ? spectral : { keepLast: false, calibrate: calibration(data) };
  await convert(model, { ...usual, ...settings });
  return output;
}

/** What a training does beside the usual. */
function settingsOf(method: string, size: number | null, epochs: number): TrainOptions['settings'] {
  const found = /^(augmented|parallel|kls)(-all)?$/.exec(method);
  if (found !== null) {
    const sizes = { targetParams: shareOf(size!), maxRank: 64, minRank: 1, keepFirst: false };
    const adaptRanks = found[1] as 'augmented' | 'parallel' | 'kls';
    return {
      ...{ adaptRanks, ...sizes, keepLast: found[2] === undefined },
      ...(adaptRanks === 'kls' ? { momentum: 0 } : {}),
    };
  }
  if (method === 'fixed') return { adaptRanks: 'kls-fixed', startRank: 20, keepFirst: false };
  if (method !== 'warmup') return {};
  const pairs = { paramsBudget: shareOf(size!), init: 'spectral', scheme: 'channel', keepFirst: false } as const;
  return { warmupFull: Math.floor(epochs / 3), conversion: pairs };
}

try {
  const { epochs, lr, threads, momentum } = Object.fromEntries(
    (['epochs', 'lr', 'threads', 'momentum'] as const).map((name) => [name, Number(values[name])]),
  ) as Record<'epochs' | 'lr' | 'threads' | 'momentum', number>;
  const trained = async (method: string, size: number | null, seed: number, model: string): Promise<TrainReport> => {
    // What was published for fixed ranks has neither.
    const decayed = isFixed(method) ? { weightDecay: 0, schedule: 'constant' as const } : { weightDecay: 1e-4 };
    const usual = { epochs, lr, seed, threads, momentum, batchSize: 128, mean: [0.1307], std: [0.3081], ...decayed };
    const settings = { ...usual, augment: 'none' as const, ...settingsOf(method, size, epochs) };
    const output = join(folder, `${method}-${seed}.onnx`);
    return train({ model, output, data, val: data, force: true, writes: 'last', settings });
  };
  for (const method of values.methods.split(',')) {
    const sizes = (isFixed(method) ? values.decays : values.sizes).split(',').map(Number);
    for (const size of method === 'dense' ? [null] : sizes) {
      for (let seed = Number(values['first-seed']); seed < Number(values.seeds); seed++) {
        const model = join(folder, `lenet-${seed}.onnx`);
        if (!existsSync(model)) writeModel(create('lenet5_caffe', { seed }), model);
        let start = model;
        if (method === 'converted' || method === 'pruned') {
          const dense = join(folder, `dense-${seed}.onnx`);
          if (!existsSync(dense)) await trained('dense', null, seed, model);
          start = await convertTo(dense, size!, method === 'pruned' ? 'spectral' : 'default');
        }
        if (isFixed(method)) {
          start = join(folder, `orthonormal-${size!}-${seed}.onnx`);
          if (!existsSync(start)) {
            const drawn = create('lenet5_caffe', { seed });
            await drawOrthonormalPairs(drawn, { seed, startRank: 20, decay: size!, keepFirst: false });
            writeModel(drawn, start);
          }
        }
        if (method === 'pairs') start = await convertTo(model, size!, 'spectral');
        const report = await trained(method, size, seed, start);
        const last = report.epochs.at(-1)!;
        const result: Result = {
          ...{ method, size: isFixed(method) ? null : size, epochs, lr, seed, top1: last.valTop1! },
          ...(isFixed(method) ? { decay: size! } : {}),
          ...(method === 'converted' || method === 'pruned' ? { converted: report.start!.valTop1 } : {}),
          ranks: last.adaptation?.ranks ?? null,
          weights: (last.adaptation?.params ?? (await inspect(report.output!.path)).totals.params) - biases,
          seconds: report.seconds.train,
          linearAlgebra: report.epochs.some(({ adaptation }) => adaptation !== undefined)
            ? report.epochs.reduce((sum, { adaptation }) => sum + (adaptation?.seconds ?? 0), 0)
            : null,
        };
        results.set(keyOf(result), result);
        const ranks = result.ranks === null ? '' : `, ranks ${result.ranks.join(' ')}`;
        process.stdout.write(
          `${method} ${size ?? ''} seed ${seed}: ${(100 * result.top1).toFixed(2)} % with ${result.weights} weights${ranks}, ${result.seconds.toFixed(0)} s\n`,
        );
        saveResult('rank-adaptive', { results: [...results.values()] });
      }
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}
