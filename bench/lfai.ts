// How close lfai comes to the optimum of its objective, and what it costs, on layers of real models.
// npm run bench -- lfai [--models resnet20,…] [--scales 0.1,0.25] [--largest 4e5] [--schemes spatial,channel]
// The optimum: scipy's L-BFGS in float64 on both factors, from the rescaled truncated SVD, with formulas of its own
// (support/lfai-oracle.py). Set LOWRANK_ORACLE_PYTHON. Layers above --largest elements are timed, not minimized.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { selectCandidates } from '../src/factorize/candidates.js';
import { functionRisk } from '../src/factorize/function-error.js';
import { matrixShape, schemesOf } from '../src/rewrite/geometry.js';
import { inits } from '../src/factorize/inits/index.js';
import { findLayers } from '../src/rewrite/layers.js';
import { isOutputMajor, toMatrix } from '../src/rewrite/layout.js';
import { prepareModel } from '../src/rewrite/prepare.js';
import { resolveSettings } from '../src/convert/settings.js';
import type { InitName, InitProblem } from '../src/factorize/types.js';
import type { FactorPair } from '../src/rewrite/types.js';
import { createLinalg } from '../src/linalg/linalg.js';
import { loadDriver } from '../src/runtime/driver.js';
import { oraclePython, saveResult, sharedFolder, timed } from './support/bench.js';

const files: Readonly<Record<string, string>> = {
  resnet50: 'exports/torchscript-bn/resnet50.onnx',
  'efficientnet-b0': 'exports/torchscript-bn/efficientnet_b0.onnx',
  resnet50v2: 'resnet50v2-stages1to3-imagenette10.onnx',
  mobilenetv2: 'mobilenetv2-imagenet-fp32-int8fc.onnx',
  'st-efficientnet': 'st-efficientnet-lc-flowers5.onnx',
  resnet20: 'cifar10-resnet20-pt1.6-op9-bn.onnx',
  conv8: 'cifar10-conv8-pt1.11-op9.onnx',
  resnet8: 'st-resnetv1-8-cifar10.onnx',
  seresnet: 'reid-seresnet-pt2.11-op18/best_model.onnx',
  mobilenetv3: 'ppocr-cls-mobilenetv3-paddle-op10.onnx',
};

const { values } = parseArgs({
  options: {
    models: { type: 'string', default: Object.keys(files).join(',') },
    scales: { type: 'string', default: '0.1,0.25' },
    schemes: { type: 'string', default: 'spatial,channel' },
    largest: { type: 'string', default: '4e5' },
  },
});

interface LayerResult {
  readonly model: string;
  readonly layer: string;
  readonly scheme: string;
  readonly activation: string;
  readonly rows: number;
  readonly cols: number;
  readonly rank: number;
  /** Parts of E‖σ(Wx)‖². `optimum` is null where the layer was too large to minimize. */
  readonly loss: { spectral: number; scaled: number; lfai: number; optimum: number | null };
  /** lfai / optimum − 1; below 0 where lfai ended lower than scipy did. */
  readonly excess: number | null;
  readonly milliseconds: { spectral: number; scaled: number; lfai: number };
}

const linalg = await createLinalg({ driver: await loadDriver() });
const folder = mkdtempSync(join(tmpdir(), 'lowrank-bench-'));
const results: LayerResult[] = [];

async function fitted(name: InitName, problem: InitProblem) {
  const started = performance.now();
  const pair = await inits[name].fit(problem);
  const milliseconds = performance.now() - started;
  const { risk, scale } = await functionRisk(problem, pair);
  return { pair, milliseconds, loss: risk / scale };
}

/** The pair that scipy ends with. */
function minimized(problem: InitProblem, start: FactorPair): FactorPair {
  const { weight, rank, rowsPerNeuron, activation } = problem;
  const path = join(folder, 'problem.bin');
  const data = Buffer.concat(
    [weight.data, start.left.data, start.right.data].map((a) => Buffer.from(a.buffer, a.byteOffset, a.byteLength)),
  );
  writeFileSync(path, data);
  const settings = { path, rows: weight.rows, cols: weight.cols, rank, rowsPerNeuron, activation };
  timed(oraclePython, ['bench/support/lfai-oracle.py', JSON.stringify(settings)]);
  const bytes = readFileSync(path);
  const result = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  const size = start.left.data.length;
  return {
    left: { ...start.left, data: result.subarray(0, size) },
    right: { ...start.right, data: result.subarray(size) },
  };
}

const round = (value: number, digits: number): number => Number(value.toPrecision(digits));

for (const name of values.models.split(',')) {
  const { model, shapes } = await prepareModel(join(sharedFolder, 'data/models', files[name]!), { driver: loadDriver });
  const { candidates } = selectCandidates(
    model,
    findLayers(model.graph, shapes),
    resolveSettings({}).selection,
    'lfai',
  );
  for (const { layer, activation } of candidates) {
    if (activation.kind === 'linear') continue;
    const outputMajor = isOutputMajor(layer.form, layer.node.int('transB', 0));
    for (const scheme of schemesOf(layer.geometry, layer.form !== 'conv')) {
      if (scheme !== 'dense' && !values.schemes.includes(scheme)) continue;
      const { rowsPerNeuron, rows, cols } = matrixShape(layer.geometry, scheme);
      for (const scale of values.scales.split(',').map(Number)) {
        const rank = Math.max(1, Math.round(scale * Math.min(rows, cols)));
        const weight = toMatrix(layer.weight.data(), layer.geometry, scheme, outputMajor);
        const problem: InitProblem = { weight, rowsPerNeuron, rank, activation, seed: 0, linalg };
        await fitted('spectral', problem);
        const spectral = await fitted('spectral', problem);
        const scaled = await fitted('spectral-scaled', problem);
        const lfai = await fitted('lfai', problem);
        let optimum: number | null = null;
        if (rows * cols <= Number(values.largest)) {
          const { risk, scale: all } = await functionRisk(problem, minimized(problem, scaled.pair));
          optimum = risk / all;
        }
        const result: LayerResult = {
          model: name,
          layer: layer.name,
          scheme,
          activation: Object.values(activation).join(' '),
          rows,
          cols,
          rank,
          loss: {
            spectral: round(spectral.loss, 7),
            scaled: round(scaled.loss, 7),
            lfai: round(lfai.loss, 7),
            optimum: optimum === null ? null : round(optimum, 7),
          },
          excess: optimum === null ? null : round(lfai.loss / optimum - 1, 3),
          milliseconds: {
            spectral: round(spectral.milliseconds, 3),
            scaled: round(scaled.milliseconds, 3),
            lfai: round(lfai.milliseconds, 3),
          },
        };
        results.push(result);
        const { loss, milliseconds: ms } = result;
        console.log(
          `${name} ${layer.name.slice(-24)} ${scheme} ${result.activation} ${rows}×${cols} r=${rank}: ` +
            `${loss.spectral} ${loss.scaled} ${loss.lfai} ${loss.optimum ?? '–'} excess ${result.excess ?? '–'}, ` +
            `ms ${ms.spectral} ${ms.scaled} ${ms.lfai}`,
        );
      }
    }
  }
  model.file?.close();
}
await linalg.close();
rmSync(folder, { recursive: true });

// Models that were not part of this run keep what was measured before.
const saved = 'bench/results/lfai.json';
const earlier = existsSync(saved)
  ? (JSON.parse(readFileSync(saved, 'utf8')) as { results: LayerResult[] }).results
  : [];
results.unshift(...earlier.filter(({ model }) => !values.models.split(',').includes(model)));

const measured = results.filter(({ excess }) => excess !== null).sort((a, b) => b.excess! - a.excess!);
const sum = (pick: (result: LayerResult) => number): number =>
  results.reduce((total, result) => total + pick(result), 0);
const summary = {
  layers: results.length,
  minimized: measured.length,
  largestExcess: measured[0] ?? null,
  layersAbove1e3: measured.filter(({ excess }) => excess! > 1e-3).length,
  unordered: results.filter(({ loss }) => loss.lfai > loss.scaled || loss.scaled > loss.spectral).length,
  lfaiTimeOverSpectral: round(sum((r) => r.milliseconds.lfai) / sum((r) => r.milliseconds.spectral), 3),
};
console.log(summary);
saveResult('lfai', { summary, results });
