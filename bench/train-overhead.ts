/**
 * What `lowrank-train` spends beside the training step where the images are in memory: seconds of its epochs over those of
 * as many bare steps (trainer.accumulate and trainer.update on one batch that stays), in turns, medians over the rounds.
 * Processor seconds beside wall seconds: on a machine that does other things too, only they say something. Those of the
 * loop hold the decode workers, which crop and normalize, and the checkpoint of the epoch before.
 *
 *   npm run bench -- train-overhead [--model path.onnx] [--batch n] [--steps n] [--rounds n] [--threads n]
 *
 * Without --model: ResNet-18 of 10 classes at 160 pixels, factorized at scale 0.1.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import sharp from 'sharp';
import { fillTruncatedNormal, fillWords, randomStream } from '../src/random.js';
import { train } from '../src/training/loop.js';
import { defaultTrainSettings, type TrainSettings } from '../src/training/options.js';
import { openTrainingSession } from '../src/training/session.js';
import { median, saveResult, timed } from './support/bench.js';

const { values: given } = parseArgs({
  options: {
    model: { type: 'string' },
    batch: { type: 'string', default: '32' },
    steps: { type: 'string', default: '8' },
    rounds: { type: 'string', default: '5' },
    threads: { type: 'string', default: '2' },
  },
});
const [batchSize, steps, rounds, threads] = [given.batch, given.steps, given.rounds, given.threads].map(Number) as [
  number,
  number,
  number,
  number,
];
const classes = 10;
const side = 192;

const folder = mkdtempSync(join(tmpdir(), 'lowrank-bench-'));

function lowRankModel(): string {
  const [full, low] = [join(folder, 'full.onnx'), join(folder, 'low.onnx')];
  timed(process.execPath, [
    'bin/lowrank-create.js',
    'resnet18',
    '--num-classes',
    '10',
    '--image-size',
    '160',
    '-o',
    full,
  ]);
  timed(process.execPath, ['bin/lowrank-convert.js', full, '-o', low, '--rank-scale', '0.1', '--no-verify', '--quiet']);
  return low;
}

/** Noise, which takes a decoder and a resampler as long as anything does. */
async function writeImages(path: string): Promise<void> {
  for (let i = 0; i < steps * batchSize; i++) {
    const words = new Int32Array((side * side * 3) / 4);
    fillWords(randomStream(0, String(i)), words);
    const place = join(path, String(i % classes));
    mkdirSync(place, { recursive: true });
    const raw = { width: side, height: side, channels: 3 } as const;
    await sharp(new Uint8Array(words.buffer), { raw })
      .jpeg()
      .toFile(join(place, `${i}.jpg`));
  }
}

/** Wall and processor seconds of a step. */
interface Cost {
  readonly wall: number;
  readonly processor: number;
}

function processorSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

async function openBare(model: string, data: string, settings: TrainSettings) {
  const run = await openTrainingSession({ model, data, output: '' }, { ...settings, cache: 0, workers: 0 });
  await run.start(undefined, 0);
  const { imageDims } = run;
  const images = new Float32Array(batchSize * imageDims.reduce((product, dim) => product * dim, 1));
  fillTruncatedNormal(randomStream(0, 'images'), images, 0, 1);
  const labels = BigInt64Array.from({ length: batchSize }, (_, i) => BigInt(i % classes));
  const step = async (): Promise<void> => {
    await run.trainer.accumulate({ images, labels });
    await run.trainer.update(1e-4);
  };
  return {
    close: () => run.close(),
    /** Behind one that is not counted: what runs in between takes the caches. */
    cost: async (count: number): Promise<Cost> => {
      await step();
      const started = performance.now();
      const startedProcessor = processorSeconds();
      for (let i = 0; i < count; i++) await step();
      return {
        wall: (performance.now() - started) / 1000 / count,
        processor: (processorSeconds() - startedProcessor) / count,
      };
    },
  };
}

try {
  const data = join(folder, 'images');
  const model = given.model ?? lowRankModel();
  await writeImages(data);
  const shared = { batchSize, threads, lr: 1e-4, cache: 2 ** 30, epochs: 2 };
  const bare = await openBare(model, data, { ...defaultTrainSettings, ...shared });
  await bare.cost(2);
  const results: object[] = [];
  for (const augment of ['crop', 'none'] as const) {
    const turns: { readonly bare: Cost; readonly loop: Cost; readonly wait: number }[] = [];
    for (let round = 0; round < rounds; round++) {
      const before = await bare.cost(steps);
      const output = join(folder, 'out.onnx');
      const processor: number[] = [];
      const { epochs } = await train({
        model,
        data,
        output,
        force: true,
        settings: { ...shared, augment },
        onEpoch: () => void processor.push(processorSeconds()),
      });
      const after = await bare.cost(steps);
      // The first epoch's first run also allocates what the others use again.
      const last = epochs.at(-1)!;
      turns.push({
        bare: { wall: (before.wall + after.wall) / 2, processor: (before.processor + after.processor) / 2 },
        loop: { wall: batchSize / last.imagesPerSecond, processor: (processor.at(-1)! - processor.at(-2)!) / steps },
        wait: last.dataWaitShare,
      });
    }
    const result = {
      augment,
      ratio: median(turns.map(({ bare: a, loop: b }) => b.wall / a.wall)),
      processorRatio: median(turns.map(({ bare: a, loop: b }) => b.processor / a.processor)),
      dataWaitShare: median(turns.map(({ wait }) => wait)),
      turns,
    };
    results.push(result);
    process.stdout.write(
      `${augment.padEnd(5)} lowrank-train over the bare step: wall ${result.ratio.toFixed(3)} (≤ 1.05), processor ${result.processorRatio.toFixed(3)}, data wait ${(100 * result.dataWaitShare).toFixed(1)} %\n`,
    );
  }
  await bare.close();
  const name = given.model === undefined ? 'resnet18, low rank, scale 0.1, 160 pixels' : given.model;
  saveResult('train-overhead', { model: name, batch: batchSize, threads, stepsPerTurn: steps, rounds, results });
} finally {
  rmSync(folder, { recursive: true, force: true });
}
