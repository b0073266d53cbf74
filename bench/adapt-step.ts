/**
 * Time of an update and peak memory of trainings that find ranks, and of plain pairs, against the same layers in one piece: shapes of
 * ResNet-50's last two stages, each contender in a process of its own, in turns, at equal ranks that stay. Ratios are medians over the
 * rounds of the ratio within a round. Of `augmented` a turn is a whole cycle of eleven updates.
 *
 *   npm run bench -- adapt-step [--rounds n] [--shares 0.05,0.1,0.25,0.5] [--methods augmented,kls,parallel,pairs] [--batch 16]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Network } from '../models/network.js';
import { drawOrthonormalPairs } from '../src/adapt/orthonormal-pairs.js';
import { type Model, newModel } from '../src/graph/model.js';
import { writeModel } from '../src/graph/write.js';
import { tool } from '../src/version.js';
import { median, saveResult } from './support/bench.js';
import { start, type Turn } from './support/contender.js';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    shares: { type: 'string', default: '0.05,0.1,0.25,0.5' },
    methods: { type: 'string', default: 'augmented,kls,parallel,pairs' },
    batch: { type: 'string', default: '16' },
    threads: { type: 'string', default: '2' },
  },
});
const rounds = Number(options.rounds);
const shares = options.shares.split(',').map(Number);
const methods = options.methods.split(',');
const worker = fileURLToPath(new URL('support/adapt-step-worker.js', import.meta.url));

/** Of `augmented` a cycle. */
const stepsOf = (method: string, share: number): number => {
  if (method === 'augmented') return 11;
  return method === 'dense' || method === 'pairs' ? 5 : share < 0.25 ? 2 : 1;
};

/** One round will do where an update takes many times as long as one of the layers in one piece. */
const roundsOf = (method: string, share: number): number =>
  share >= 0.5 && (method === 'kls' || method === 'parallel') ? 1 : rounds;

const layers = ['conv3', 'expand3', 'reduce4', 'conv4', 'expand4', 'dense'] as const;
/** min(rows, cols). */
const fullRanks: Readonly<Record<(typeof layers)[number], number>> = {
  ...{ conv3: 256, expand3: 256, reduce4: 512, conv4: 512, expand4: 512, dense: 2048 },
};

/** 3×3 256→256 and 1×1 256→1024 at 14×14; 1×1 1024→512, 3×3 512→512 and 1×1 512→2048 at 7×7; a dense layer of 2048→2048; a head of 10. */
function stack(): Model {
  const network = new Network(0);
  let x = network.input(256, 14);
  x = network.relu(network.conv(x, 'conv3', { out: 256, kernel: 3 }), 'relu');
  x = network.relu(network.conv(x, 'expand3', { out: 1024, kernel: 1 }), 'relu');
  x = network.relu(network.conv(x, 'reduce4', { out: 512, kernel: 1, stride: 2 }), 'relu');
  x = network.relu(network.conv(x, 'conv4', { out: 512, kernel: 3 }), 'relu');
  x = network.relu(network.conv(x, 'expand4', { out: 2048, kernel: 1 }), 'relu');
  x = network.flatten(network.globalAveragePool(x, 'pool'));
  x = network.relu(network.linear(x, 'dense', 2048), 'relu');
  network.classifier(x, 'head', 10);
  return newModel(network.graph, new Map([['', 17]]), 8, tool);
}

async function inPairs(share: number): Promise<Model> {
  const model = stack();
  for (const name of layers) {
    const startRank = Math.round(share * fullRanks[name]);
    await drawOrthonormalPairs(model, { include: [`/${name}/*`], startRank, keepFirst: false });
  }
  return model;
}

interface Result {
  readonly share: number;
  readonly method: string;
  readonly milliseconds: number;
  /** Of an update, in linear algebra outside of the graphs. */
  readonly linearAlgebraMilliseconds: number;
  readonly peakMiB: number;
  /** Over those of the layers in one piece, in the same rounds. */
  readonly time: number;
  readonly processorTime: number;
  readonly memory: number;
}

interface AdaptTurn extends Turn {
  readonly linearAlgebraMilliseconds: number;
}

const folder = mkdtempSync(join(tmpdir(), 'lowrank-bench-'));
const results: Result[] = [];
try {
  const dense = join(folder, 'dense.onnx');
  writeModel(stack(), dense);
  for (const share of shares) {
    const pairs = join(folder, `pairs-${share}.onnx`);
    writeModel(await inPairs(share), pairs);
    const contenders = [];
    for (const name of ['dense', ...methods]) {
      const isPlain = name === 'dense' || name === 'pairs';
      const model = name === 'dense' ? dense : pairs;
      const words = [worker, model, isPlain ? 'plain' : name, options.batch, options.threads];
      contenders.push(await start(name, process.execPath, words));
    }
    try {
      for (const { name, run } of contenders) {
        if (roundsOf(name, share) > 1) await run(name === 'augmented' ? 11 : 1);
      }
      const turns: AdaptTurn[][] = [];
      for (let round = 0; round < rounds; round++) {
        const turn: AdaptTurn[] = [];
        for (const { name, run } of contenders) {
          if (round < roundsOf(name, share)) turn.push((await run(stepsOf(name, share))) as AdaptTurn);
          else turn.push(turns[0]![turn.length]!);
        }
        turns.push(turn);
      }
      contenders.forEach(({ name }, at) => {
        const own = turns.slice(0, roundsOf(name, share));
        const middle = (of: (turn: AdaptTurn, first: AdaptTurn) => number): number =>
          Number(median(own.map((turn) => of(turn[at]!, turn[0]!))).toPrecision(4));
        const result: Result = {
          ...{ share, method: name },
          milliseconds: middle(({ milliseconds }) => milliseconds),
          linearAlgebraMilliseconds: middle(({ linearAlgebraMilliseconds }) => linearAlgebraMilliseconds),
          peakMiB: middle(({ peakMiB }) => peakMiB),
          time: middle(({ milliseconds }, first) => milliseconds / first.milliseconds),
          processorTime: middle(
            ({ processorMilliseconds }, first) => processorMilliseconds / first.processorMilliseconds,
          ),
          memory: middle(({ peakMiB }, first) => peakMiB / first.peakMiB),
        };
        results.push(result);
        const { milliseconds, linearAlgebraMilliseconds: algebra, peakMiB, time, processorTime, memory } = result;
        process.stdout.write(
          `${share} n  ${name.padEnd(9)}  ${milliseconds.toFixed(0)} ms, ${algebra.toFixed(0)} of them linear algebra, ×${time}, of the processor ×${processorTime}; ${peakMiB.toFixed(0)} MiB, ×${memory}\n`,
        );
      });
    } finally {
      for (const { close } of contenders) close();
    }
    saveResult('adapt-step', {
      batch: Number(options.batch),
      threads: Number(options.threads),
      loadavg: loadavg(),
      results,
    });
  }
} finally {
  rmSync(folder, { recursive: true });
}
