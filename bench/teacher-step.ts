// What a teacher costs a step of training: updates a second of one converted model, on labels as `train` does them and towards the
// original by what is matched, side by side in turns on the same batches.
// npm run bench -- teacher-step [--cases resnet20,…] [--rounds 8]
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { convert, loadDriver } from '../src/index.js';
import { targetOf } from '../src/lower/target.js';
import type { Trainable } from '../src/step/goals/goal.js';
import { buildGradientGraph } from '../src/step/gradient-graph.js';
import type { MatchName } from '../src/step/match-points.js';
import { prepareMatching } from '../src/step/prepare-matching.js';
import { prepareTraining } from '../src/step/prepare.js';
import { defaultGraphSettings } from '../src/step/settings.js';
import { buildUpdateGraph } from '../src/step/update-graph.js';
import { initialState } from '../src/step/vectors.js';
import { createTrainer, type Trainer } from '../src/training/trainer.js';
import { earlierResults, median, saveResult } from './support/bench.js';
import { cases, shared } from './support/cases.js';

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: 'resnet20,resnet8,efficientnet,resnet50v2' },
    rounds: { type: 'string', default: '8' },
  },
});

const settings = { ...defaultGraphSettings, optimizer: 'adam', weightDecay: 0 } as const;
const batchSize = 16;
const budget = 0.5;

interface Result {
  readonly model: string;
  readonly form: string;
  readonly batchSize: number;
  readonly secondsPerStep: number;
  /** Updates a second against those on labels, the median of the rounds. */
  readonly ratio: number;
}

const keyOf = ({ model, form }: Result): string => `${model} ${form}`;
const results = earlierResults<Result>('teacher-step', keyOf);
const folder = mkdtempSync(join(tmpdir(), 'lowrank-teacher-step-'));
const driver = await loadDriver();
const target = await targetOf('cpu', driver);

async function trainerOf(prepared: Trainable): Promise<Trainer> {
  const emit = { batch: batchSize, isBatchOpen: false, passes: target.passes };
  const gradient = buildGradientGraph(prepared, settings, emit, target.build, target.opsets);
  const update = buildUpdateGraph(prepared, settings);
  const state = initialState(prepared, update.stateLength, false);
  return createTrainer({
    ...{ driver, gradient, update, state, batch: batchSize },
    graphOptimization: target.graphOptimization,
  });
}

try {
  for (const model of values.cases.split(',')) {
    const original = shared(`models/${cases[model]!.file}`);
    const student = join(folder, `${model}.onnx`);
    await convert(original, {
      output: student,
      macsBudget: budget,
      verify: false,
      calibrate: 'none',
      init: 'spectral',
    });
    const towards = (match: MatchName): Trainable =>
      prepareMatching(student, original, {
        settings,
        match: { match, matchTensors: null, temperature: 1, labelWeight: 0, batchNorm: 'frozen' },
      });
    const labels = prepareTraining(student, { settings });
    const forms = new Map<string, Trainable>([
      ['labels', labels],
      ['outputs', towards('outputs')],
      ['auto', towards('auto')],
    ]);
    const images = new Float32Array(labels.imageDims.reduce((product, dim) => product * dim, batchSize));
    for (let i = 0; i < images.length; i++) images[i] = Math.sin(i);
    const classes = new BigInt64Array(batchSize);
    const trainers = new Map<string, Trainer>();
    for (const [form, prepared] of forms) trainers.set(form, await trainerOf(prepared));
    const times = new Map<string, number[]>([...forms.keys()].map((form) => [form, []]));
    for (let round = -1; round < Number(values.rounds); round++) {
      for (const [form, trainer] of trainers) {
        const started = performance.now();
        await trainer.accumulate({ images, labels: form === 'labels' ? classes : undefined });
        await trainer.update(0);
        if (round >= 0) times.get(form)!.push((performance.now() - started) / 1000);
      }
    }
    for (const [form, seconds] of times) {
      const ratio = median(seconds.map((own, round) => times.get('labels')![round]! / own));
      const result: Result = { model, form, batchSize, secondsPerStep: median(seconds), ratio };
      results.set(keyOf(result), result);
      process.stdout.write(`${model} ${form}: ${result.secondsPerStep.toFixed(3)} s a step, ×${ratio.toFixed(2)}\n`);
    }
    for (const trainer of trainers.values()) await trainer.close();
    saveResult('teacher-step', { macsBudget: budget, results: [...results.values()] });
  }
} finally {
  rmSync(folder, { recursive: true });
}
