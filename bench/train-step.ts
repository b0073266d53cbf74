/**
 * Images per second of whole training steps (forward, loss, backward, SGD with momentum) against PyTorch eager: the same
 * layers, 160 pixels, each contender in a process of its own, all alive, in turns. Ratios are medians over the rounds of
 * the ratio within a round. On a busy machine compare processor times with --threads 1: waiting does not count in them.
 *
 *   npm run bench -- train-step [--rounds n] [--steps n] [--threads n] [--only case]
 *
 * LOWRANK_ORACLE_PYTHON names a Python with torch, torchvision, onnx and onnxruntime. The prototype whose measurements the
 * goals come from (docs/training-step-prototype.py of the shared folder) runs along where it is there.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { median, oraclePython, saveResult, sharedFolder, timed } from './support/bench.js';
import { type Contender, start as startWith, type Turn } from './support/contender.js';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    steps: { type: 'string', default: '3' },
    threads: { type: 'string', default: '2' },
    only: { type: 'string' },
  },
});
const [rounds, steps] = [Number(options.rounds), Number(options.steps)];
const threads = String(Number(options.threads));
const prototype = join(sharedFolder, 'docs/training-step-prototype.py');

interface Case {
  readonly name: string;
  readonly architecture: string;
  readonly rankScale: number;
  readonly batch: number;
}

const cases: readonly Case[] = [
  { name: 'resnet18 low rank', architecture: 'resnet18', rankScale: 0.1, batch: 32 },
  { name: 'resnet50 low rank', architecture: 'resnet50', rankScale: 0.1, batch: 16 },
  { name: 'efficientnet_b0 low rank', architecture: 'efficientnet_b0', rankScale: 0.1, batch: 16 },
  { name: 'resnet18 full rank', architecture: 'resnet18', rankScale: 0, batch: 32 },
  { name: 'resnet50 full rank', architecture: 'resnet50', rankScale: 0, batch: 16 },
];

/** One of them, with the threads that all have. */
const start = (name: string, command: string, args: readonly string[], environment = {}): Promise<Contender> =>
  startWith(name, command, args, { OMP_NUM_THREADS: threads, ...environment });

/** glibc keeps freed memory in place of giving it back: eager PyTorch then has no page faults on fresh allocations. */
const keepMemory = {
  MALLOC_MMAP_THRESHOLD_: String(4 * 2 ** 30),
  MALLOC_TRIM_THRESHOLD_: String(16 * 2 ** 30),
  MALLOC_TOP_PAD_: String(256 * 2 ** 20),
};

/** The file of a case, made by the commands that a user would type. */
function makeModel({ architecture, rankScale }: Case, folder: string): string {
  const command = (args: readonly string[]): void => void timed(process.execPath, ['bin/lowrank.js', ...args]);
  const full = join(folder, `${architecture}.onnx`);
  command(['create', architecture, '--image-size', '160', '-o', full, '--force', '--quiet']);
  if (rankScale === 0) return full;
  const low = join(folder, `${architecture}-low.onnx`);
  const scheme = ['--rank-scale', String(rankScale), '--scheme', 'spatial'];
  command(['convert', full, '-o', low, ...scheme, '--no-verify', '--force', '--quiet']);
  return low;
}

async function race(one: Case, folder: string): Promise<object> {
  const model = makeModel(one, folder);
  const worker = fileURLToPath(new URL('support/train-step-worker.js', import.meta.url));
  const torch = (layout: string): string[] => [
    'bench/support/train-step-torch.py',
    ...[one.architecture, String(one.rankScale), String(one.batch), threads, layout],
  ];
  const contenders = [
    await start('lowrank', process.execPath, [worker, model, String(one.batch), threads]),
    await start('PyTorch NCHW', oraclePython, torch('contiguous')),
    await start('PyTorch channels_last', oraclePython, torch('channels_last')),
    await start('PyTorch channels_last, tuned malloc', oraclePython, torch('channels_last'), keepMemory),
    ...(one.rankScale === 0.1 && existsSync(prototype)
      ? [
          await start('prototype', oraclePython, [
            'bench/support/train-step-prototype.py',
            ...[prototype, one.architecture, String(one.batch), threads],
          ]),
        ]
      : []),
  ];
  try {
    for (const contender of contenders) await contender.run(2);
    const turns: Turn[][] = [];
    for (let round = 0; round < rounds; round++) {
      const turn: Turn[] = [];
      for (const contender of contenders) turn.push(await contender.run(steps));
      turns.push(turn);
    }
    const rows = contenders.map(({ name, parameters }, i) => {
      const of = (pick: (turn: Turn) => number): number => median(turns.map((turn) => pick(turn[i]!)));
      const milliseconds = of((turn) => turn.milliseconds);
      const speedup = median(turns.map((turn) => turn[i]!.milliseconds / turn[0]!.milliseconds));
      const spared = median(turns.map((turn) => turn[i]!.processorMilliseconds / turn[0]!.processorMilliseconds));
      const peakMiB = of((turn) => turn.peakMiB);
      return {
        name,
        parameters,
        milliseconds: round1(milliseconds),
        processorMilliseconds: round1(of((turn) => turn.processorMilliseconds)),
        imagesPerSecond: round1((1000 * one.batch) / milliseconds),
        lowrankIsTimesFaster: Math.round(speedup * 100) / 100,
        lowrankTakesTimesLessProcessor: Math.round(spared * 100) / 100,
        peakMiB: Math.round(peakMiB),
        lowrankPeakShare: Math.round((turns.at(-1)![0]!.peakMiB / peakMiB) * 100) / 100,
      };
    });
    process.stdout.write(`\n${one.name}, batch ${one.batch}\n`);
    for (const row of rows) {
      process.stdout.write(
        `  ${row.name.padEnd(36)} ${row.milliseconds.toFixed(1).padStart(8)} ms ${row.imagesPerSecond
          .toFixed(1)
          .padStart(
            7,
          )} images/s  ${row.lowrankIsTimesFaster.toFixed(2)}× (processor ${row.lowrankTakesTimesLessProcessor.toFixed(2)}×)  ${row.peakMiB} MiB\n`,
      );
    }
    // Other programs' share of the machine, for whoever reads the times: the contenders themselves make `threads`.
    return { ...one, loadAverage: round1(loadavg()[0]!), rows };
  } finally {
    for (const contender of contenders) contender.close();
  }
}

const round1 = (value: number): number => Math.round(value * 10) / 10;

const folder = mkdtempSync(join(tmpdir(), 'lowrank-bench-'));
try {
  const results: object[] = [];
  for (const one of cases) {
    if (options.only === undefined || one.name.includes(options.only)) results.push(await race(one, folder));
  }
  const versions = JSON.parse(
    timed(oraclePython, ['-c', 'import torch, json; print(json.dumps({"torch": torch.__version__}))']).stdout,
  ) as object;
  saveResult('train-step', { side: 160, threads: Number(threads), rounds, steps, ...versions, cases: results });
} finally {
  rmSync(folder, { recursive: true, force: true });
}
