// What trainings that find their ranks come to on MNIST at sizes like those that were published for LeNet5 (20-50-500-10): test
// accuracy of the last epoch of a training on all 60,000 pictures, with which nothing was chosen, and honest parameters: both
// factors, biases not counted, as published.
// npm run bench -- rank-adaptive [--methods augmented,dense] [--sizes 78850,29260,18880,18075,10090] [--seeds 5] [--epochs 20]
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { convert, create, train, writeModel } from '../src/index.js';
import { earlierResults, saveResult } from './support/bench.js';
import { shared } from './support/cases.js';

const { values } = parseArgs({
  options: {
    /** dense; augmented, parallel, kls; warmup: a third of the epochs in full rank, then spectral pairs; pairs: them from the start. */
    methods: { type: 'string', default: 'dense,augmented' },
    sizes: { type: 'string', default: '78850,29260,18880,18075,10090' },
    seeds: { type: 'string', default: '5' },
    'first-seed': { type: 'string', default: '0' },
    epochs: { type: 'string', default: '20' },
    lr: { type: 'string', default: '0.1' },
  },
});

interface Result {
  readonly method: string;
  /** Weights that were asked for; null: full rank. */
  readonly size: number | null;
  readonly epochs: number;
  readonly lr: number;
  readonly seed: number;
  readonly top1: number;
  readonly ranks: readonly number[] | null;
  /** Weights of the result, biases not counted. */
  readonly weights: number;
  readonly seconds: number;
  /** Of `seconds`, in linear algebra beside the graphs. */
  readonly linearAlgebra: number | null;
}

/** Of the network in one piece. */
const [weights, biases] = [430_500, 580];
const keyOf = ({ method, size, epochs, lr, seed }: Result): string => [method, size, epochs, lr, seed].join(' ');
const results = earlierResults<Result>('rank-adaptive', keyOf);
const folder = mkdtempSync(join(tmpdir(), 'lowrank-rank-adaptive-'));
const data = shared('mnist');

/** Ranks that a network of that size has where all layers keep the same share: for pairs that are not chosen by a training. */
function shareOf(size: number): number {
  return (size + biases) / (weights + biases);
}

try {
  const [epochs, lr] = [Number(values.epochs), Number(values.lr)];
  for (const method of values.methods.split(',')) {
    for (const size of method === 'dense' ? [null] : values.sizes.split(',').map(Number)) {
      for (let seed = Number(values['first-seed']); seed < Number(values.seeds); seed++) {
        const model = join(folder, `lenet-${seed}.onnx`);
        if (!existsSync(model)) writeModel(create('lenet5_caffe', { seed }), model);
        const output = join(folder, 'trained.onnx');
        const usual = { epochs, lr, seed, batchSize: 128, weightDecay: 1e-4, mean: [0.1307], std: [0.3081] };
        const isFound = method !== 'dense' && method !== 'pairs' && method !== 'warmup';
        let start = model;
        if (method === 'pairs') {
          start = join(folder, 'pairs.onnx');
          const call = { output: start, force: true, init: 'spectral', calibrate: 'none', keepFirst: false } as const;
          await convert(model, { ...call, scheme: 'channel', paramsBudget: shareOf(size!), minRank: 1, verify: false });
        }
        const report = await train({
          ...{ model: start, output, data, val: data, force: true, writes: 'last', validatesStart: false },
          settings: {
            ...usual,
            augment: 'none',
            ...(isFound
              ? {
                  adaptRanks: method as 'augmented',
                  ...{ targetParams: shareOf(size!), maxRank: 64, minRank: 1, keepFirst: false },
                  ...(method === 'kls' ? { momentum: 0 } : {}),
                }
              : {}),
            ...(method === 'warmup'
              ? {
                  warmupFull: Math.floor(epochs / 3),
                  conversion: {
                    paramsBudget: shareOf(size!),
                    init: 'spectral' as const,
                    scheme: 'channel' as const,
                    keepFirst: false,
                  },
                }
              : {}),
          },
        });
        const last = report.epochs.at(-1)!;
        const result: Result = {
          ...{ method, size, epochs, lr, seed, top1: last.valTop1! },
          ranks: last.adaptation?.ranks ?? null,
          weights: (last.adaptation?.params ?? report.conversion?.params.after ?? (size ?? weights) + biases) - biases,
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
