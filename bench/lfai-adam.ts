// Sampled fits against exact ones, and against PyTorch, on the layers of ResNet-18 with fresh weights.
// npm run bench -- lfai-adam [--scale 0.25] [--scheme channel|spatial] [--threads 2] [--layers n] [--rounds 3]
// Layer by layer: lfai (closed forms) and 1,000 steps of sampled Adam, batch 256, from the truncated SVD: what each loses
// and how long it takes. Whole model: all layers by lfai-ws-adam, 100 steps, batch 256, truncated SVDs included, in turns
// with the same fit in PyTorch (support/lfai-adam-torch.py). Set LOWRANK_ORACLE_PYTHON. --layers takes the first n only.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { create } from '../models/index.js';
import { type Candidate, selectCandidates } from '../src/factorize/candidates.js';
import { fitPlans } from '../src/factorize/fit.js';
import { functionRisk } from '../src/factorize/function-error.js';
import { matrixShape, schemesOf } from '../src/rewrite/geometry.js';
import { inits } from '../src/factorize/inits/index.js';
import { findLayers } from '../src/rewrite/layers.js';
import { isOutputMajor, toMatrix } from '../src/rewrite/layout.js';
import type { Plan, Trial } from '../src/factorize/plan-types.js';
import { prepareModel } from '../src/rewrite/prepare.js';
import type { FitSettings } from '../src/factorize/sampled/settings.js';
import { resolveSettings } from '../src/convert/settings.js';
import type { InitName, InitProblem } from '../src/factorize/types.js';
import { writeModel } from '../src/graph/write.js';
import { createLinalg } from '../src/linalg/linalg.js';
import { loadDriver } from '../src/runtime/driver.js';
import { median, oraclePython, saveResult, timed } from './support/bench.js';

const { values } = parseArgs({
  options: {
    scale: { type: 'string', default: '0.25' },
    scheme: { type: 'string', default: 'channel' },
    threads: { type: 'string', default: '2' },
    layers: { type: 'string', default: '1000' },
    rounds: { type: 'string', default: '3' },
  },
});
const [scale, threads, rounds] = [values.scale, values.threads, values.rounds].map(Number) as [number, number, number];
const session = { threads };
const long: Partial<FitSettings> = { steps: 1000, batch: 256 };
const short: Partial<FitSettings> = { steps: 100, batch: 256 };

const driver = await loadDriver();
const linalg = await createLinalg({ driver, threads });
const folder = mkdtempSync(join(tmpdir(), 'lowrank-bench-'));
const path = join(folder, 'resnet18.onnx');
writeModel(create('resnet18'), path);
const { model, shapes } = await prepareModel(path, { driver: loadDriver });
const selection = selectCandidates(model, findLayers(model.graph, shapes), resolveSettings({}).selection, 'lfai');
const candidates = selection.candidates.slice(0, Number(values.layers));

function trialOf({ layer }: Candidate): Trial {
  const schemes = schemesOf(layer.geometry, layer.form !== 'conv');
  const scheme = schemes.find((name) => name === values.scheme) ?? schemes[0]!;
  const { rows, cols } = matrixShape(layer.geometry, scheme);
  return { scheme, rank: Math.max(1, Math.round(scale * Math.min(rows, cols))) };
}

function problemOf(candidate: Candidate): InitProblem {
  const { layer, activation } = candidate;
  const { scheme, rank } = trialOf(candidate);
  const outputMajor = isOutputMajor(layer.form, layer.node.int('transB', 0));
  const weight = toMatrix(layer.weight.data(), layer.geometry, scheme, outputMajor);
  const { rowsPerNeuron } = matrixShape(layer.geometry, scheme);
  return { weight, rowsPerNeuron, rank, activation, seed: 0, linalg };
}

const round = (value: number, digits: number): number => Number(value.toPrecision(digits));

/** What an init loses, as a part of E‖σ(Wx)‖², and its seconds. */
async function judged(name: InitName, problem: InitProblem): Promise<{ loss: number; seconds: number }> {
  const started = performance.now();
  const pair = await inits[name].fit({ ...problem, sampled: { settings: long, session, driver } });
  const seconds = (performance.now() - started) / 1000;
  const { risk, scale: all } = await functionRisk(problem, pair);
  return { loss: round(risk / all, 7), seconds: round(seconds, 4) };
}

const layers: object[] = [];
const sums = { exact: 0, sampled: 0 };
let worse = 0;
let least = Infinity;
for (const candidate of candidates) {
  const problem = problemOf(candidate);
  const spectral = await judged('spectral', problem);
  await judged('lfai', problem);
  const exact = await judged('lfai', problem);
  const sampled = await judged('lfai-ws-adam', problem);
  sums.exact += exact.seconds;
  sums.sampled += sampled.seconds;
  // Both end at the truncated SVD of a linear layer, up to rounding.
  if (exact.loss > sampled.loss * (1 + 1e-6)) worse++;
  const times = round(sampled.seconds / exact.seconds, 3);
  least = Math.min(least, times);
  const { weight, rank } = problem;
  layers.push({
    layer: candidate.layer.name,
    activation: problem.activation.kind,
    rows: weight.rows,
    cols: weight.cols,
    rank,
    spectral,
    exact,
    sampled,
    times,
  });
  console.log(
    `${candidate.layer.name} ${weight.rows}×${weight.cols} r=${rank} ${problem.activation.kind}: spectral ${spectral.loss}, ` +
      `lfai ${exact.loss} in ${exact.seconds} s, 1,000 steps ${sampled.loss} in ${sampled.seconds} s (${times} times)`,
  );
}

const plans: Plan[] = candidates.map((candidate) => ({ candidate, trials: [trialOf(candidate)], note: '' }));

/** Seconds of all layers, side by side as `convert` fits them. */
async function wholeModel(init: InitName): Promise<number> {
  const started = performance.now();
  await fitPlans(plans, { linalg, init, seed: 0, sampled: { settings: short, session, driver } });
  return (performance.now() - started) / 1000;
}

interface Torch {
  readonly svd: number;
  readonly steps: number;
  readonly version: string;
  /** Losses of the last steps, as parts of the first ones: that it learns. */
  readonly falls: number;
}

const torchPath = join(folder, 'layers.json');
writeFileSync(
  torchPath,
  JSON.stringify(
    candidates.map((candidate, i) => {
      const { weight, rank, rowsPerNeuron, activation } = problemOf(candidate);
      const file = join(folder, `${i}.bin`);
      writeFileSync(file, Buffer.from(weight.data.buffer, weight.data.byteOffset, weight.data.byteLength));
      return { file, rows: weight.rows, cols: weight.cols, rank, rowsPerNeuron, activation: activation.kind };
    }),
  ),
);
const turns: { ours: number; spectral: number; torch: Torch }[] = [];
for (let turn = 0; turn < rounds; turn++) {
  const ours = await wholeModel('lfai-ws-adam');
  const spectral = await wholeModel('spectral');
  const { stdout } = timed(oraclePython, [
    'bench/support/lfai-adam-torch.py',
    torchPath,
    '100',
    '256',
    String(threads),
  ]);
  const torch = JSON.parse(stdout) as Torch;
  turns.push({ ours, spectral, torch });
  console.log(
    `whole model: ours ${ours.toFixed(2)} s (truncated SVDs alone ${spectral.toFixed(2)} s), ` +
      `PyTorch ${(torch.svd + torch.steps).toFixed(2)} s (SVDs ${torch.svd.toFixed(2)} s)`,
  );
}
await linalg.close();
model.file?.close();
rmSync(folder, { recursive: true });

const middle = (pick: (turn: (typeof turns)[number]) => number): number => round(median(turns.map(pick)), 4);
const summary = {
  layers: layers.length,
  layersWhereSampledIsBetter: worse,
  sampledOverExactTime: round(sums.sampled / sums.exact, 4),
  leastSampledOverExactTime: least,
  wholeModel: {
    oursSeconds: middle(({ ours }) => ours),
    torchSeconds: middle(({ torch }) => torch.svd + torch.steps),
    oursOverTorch: middle(({ ours, torch }) => ours / (torch.svd + torch.steps)),
    /** Without the truncated SVDs of both sides, where ours are much faster. */
    stepsOursOverTorch: middle(({ ours, spectral, torch }) => (ours - spectral) / torch.steps),
    torchVersion: turns[0]?.torch.version,
  },
};
console.log(summary);
saveResult('lfai-adam', {
  settings: { scale, threads, rounds, scheme: values.scheme },
  summary,
  turns,
  results: layers,
});
