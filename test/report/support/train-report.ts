import type { EvalReport } from '../../../src/contracts/eval.js';
import { summarizePredictions, comparePredictions, type Predictions } from '../../../src/evaluate/eval-summary.js';
import { bestEpoch, type TrainEpoch, type TrainReport } from '../../../src/contracts/train.js';
import { trainVerdict } from '../../../src/report/train-verdict.js';
import type { ModelSummary } from '../../../src/contracts/convert.js';

/** Input data for the report writers: a training run and an evaluation with made-up, smooth numbers. */

const MODEL: ModelSummary = {
  path: 'models/resnet18-lowrank.onnx',
  sha256: '3f0a4c1e9b7d5a2f8c6e1d3b5a7f9c0e2d4b6a8f1c3e5d7b9a0f2c4e6d8b1a3f',
  producer: 'lowrank 0.1.0',
  irVersion: 10,
  opset: 17,
  inputShape: [1, 3, 160, 160],
};

const TOOL = { name: 'lowrank', version: '0.1.0' } as const;

/** Numbers in [0, 1) from a seed (mulberry32). */
function uniform(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export interface TrainFixture {
  readonly epochs?: number;
  readonly hasValidation?: boolean;
  /** Top-1 on the validation images before training. */
  readonly startTop1?: number;
}

export function trainReport({ epochs = 30, hasValidation = true, startTop1 = 0.1 }: TrainFixture = {}): TrainReport {
  const random = uniform(7);
  const list = Array.from({ length: epochs }, (_, index): TrainEpoch => {
    const progress = 1 - Math.exp((-5 * (index + 1)) / epochs);
    const top1 = 0.1 + 0.78 * progress + 0.01 * random();
    const valTop1 = 0.1 + 0.76 * progress + 0.03 * random();
    return {
      epoch: index + 1,
      steps: 296 * (index + 1),
      loss: 2.3 - 1.9 * progress + 0.03 * random(),
      top1,
      valLoss: hasValidation ? 2.3 - 1.75 * progress + 0.08 * random() : null,
      valTop1: hasValidation ? valTop1 : null,
      valTop5: hasValidation ? Math.min(0.997, valTop1 + 0.2 * (1 - valTop1) + 0.15) : null,
      lr: 0.05 * (1 + Math.cos((Math.PI * (index + 1)) / epochs)),
      imagesPerSecond: 118 + 6 * random(),
      dataWaitShare: 0.01 + 0.02 * random(),
      gradientNorm: 4 * (1 - progress) + 0.8 + 0.3 * random(),
      seconds: 84.2 + random(),
      peakMemory: 1.21e9 + 1e6 * index,
    };
  });
  const best = bestEpoch(list);
  const written = list.find(({ epoch }) => epoch === best?.epoch) ?? list.at(-1);
  const start = hasValidation ? { valLoss: 2.31, valTop1: startTop1, valTop5: 0.52 } : null;
  const settings = { data: 'imagenette/train', epochs, lr: 0.1, optimizer: 'sgd', augment: 'crop', ema: null, seed: 1 };
  return {
    schema: 'lowrank.train/1',
    tool: TOOL,
    command: 'lowrank-train models/resnet18-lowrank.onnx --data imagenette/train --val imagenette/val --epochs 30',
    seed: 1,
    model: MODEL,
    settings: { ...settings, freeze: ['stem.*'] },
    data: {
      train: { path: 'imagenette/train', images: 9469, classes: 10 },
      val: hasValidation ? { path: 'imagenette/val', images: 3925, classes: 10 } : null,
    },
    start,
    epochs: list,
    best,
    resumedFrom: null,
    checkpoint:
      epochs === 0
        ? null
        : { path: 'out/resnet18-trained.onnx.checkpoints/step-000008880', epoch: epochs, steps: 8880 },
    badImages: { count: 2, names: ['n01440764/broken.jpg', 'n02102040/empty.jpg'] },
    output: {
      path: 'out/resnet18-trained.onnx',
      bytes: 21_400_312,
      sha256: MODEL.sha256.split('').toReversed().join(''),
    },
    written:
      written === undefined
        ? null
        : {
            epoch: written.epoch,
            valTop1: written.valTop1,
            valLoss: written.valLoss,
            chosen: best === null ? 'last' : 'best',
          },
    verdict: trainVerdict(start, best, settings),
    warnings: [],
    seconds: { prepare: 1.4, train: 2319.6, validate: 212.3, write: 1.1, total: 2534.4 },
    status: 'finished',
    reason: null,
  };
}

export interface EvalFixture {
  readonly classes?: number;
  readonly images?: number;
  readonly hasVersus?: boolean;
  readonly rename?: (name: string, index: number) => string;
}

/** Labels and the guesses of a model that is right with the given chance and else errs to classes near by. */
function guesses(labels: readonly number[], classes: number, accuracy: number, random: () => number): number[] {
  return labels.map((label) => {
    if (random() < accuracy - 0.3 * Math.abs(Math.sin(label))) return label;
    return (label + 1 + Math.floor(random() ** 3 * (classes - 1))) % classes;
  });
}

export function evalReport({ classes = 10, images = 3925, hasVersus = true, rename }: EvalFixture = {}): EvalReport {
  const random = uniform(classes);
  const labels = Array.from({ length: images }, (_, index) => index % classes);
  const predicted = guesses(labels, classes, 0.95, random);
  const predictions: Predictions = {
    labels,
    predicted,
    inTop5: classes > 5 ? labels.map((label, index) => Number(label === predicted[index] || random() < 0.7)) : null,
    losses: labels.map((label, index) => (label === predicted[index] ? 0.2 : 1.9) + 0.3 * random()),
  };
  const words = [
    'tench',
    'springer',
    'cassette',
    'chain saw',
    'church',
    'horn',
    'truck',
    'pump',
    'golf ball',
    'parachute',
  ];
  const names = Array.from({ length: classes }, (_, index) => {
    const name = classes <= words.length ? words[index]! : `${words[index % words.length]!} ${index}`;
    return rename?.(name, index) ?? name;
  });
  return {
    schema: 'lowrank.eval/1',
    tool: TOOL,
    command: 'lowrank-eval resnet18-trained.onnx --data imagenette/val --vs resnet18.onnx',
    model: { ...MODEL, path: 'out/resnet18-trained.onnx' },
    settings: { data: 'imagenette/val', batchSize: 64, vs: hasVersus ? 'resnet18.onnx' : null },
    data: { path: 'imagenette/val', images, classes },
    ...summarizePredictions(predictions, names),
    imagesPerSecond: 312.4,
    versus: hasVersus
      ? {
          model: { ...MODEL, path: 'models/resnet18.onnx' },
          ...comparePredictions(labels, predicted, guesses(labels, classes, 0.97, random)),
        }
      : null,
    badImages: { count: 0, names: [] },
    warnings: [],
    seconds: { prepare: 0.4, evaluate: images / 312.4, total: 0.5 + images / 312.4 },
  };
}
