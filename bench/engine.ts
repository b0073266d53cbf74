// Fitting ResNet-18 with onnxruntime and with TensorFlow.js's backends that are installed, whole processes, in turns.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ConvertReport } from '../src/contracts/convert.js';
import { median, saveResult, timed } from './support/bench.js';

const rounds = Number(process.argv[2] ?? 3);
const folder = mkdtempSync(join(tmpdir(), 'lowrank-bench-'));
const model = join(folder, 'resnet18.onnx');

interface Contender {
  readonly name: string;
  readonly options: readonly string[];
  /** Value of LOWRANK_TFJS. */
  readonly package: string;
  readonly seconds: number[];
  report?: ConvertReport;
}

const contender = (name: string, backend: string, ...options: string[]): Contender => ({
  name,
  package: backend,
  options,
  seconds: [],
});
const sampled = ['--init', 'lfai-ws-adam', '--fit-steps', '20'];
const contenders = [
  contender('ort lfai', '', '--engine', 'ort'),
  contender('wasm lfai', '@tensorflow/tfjs-backend-wasm', '--engine', 'tfjs'),
  contender('ort lfai-ws-adam', '', '--engine', 'ort', ...sampled),
  contender('wasm lfai-ws-adam', '@tensorflow/tfjs-backend-wasm', '--engine', 'tfjs', ...sampled),
];

try {
  timed(process.execPath, ['bin/lowrank-create.js', 'resnet18', '-o', model, '--quiet']);
  for (let round = 0; round < rounds; round++) {
    for (const entry of contenders) {
      process.env['LOWRANK_TFJS'] = entry.package;
      const output = join(folder, 'out.onnx');
      const words = [
        'bin/lowrank-convert.js',
        model,
        '-o',
        output,
        '--force',
        '--json',
        '--no-verify',
        ...entry.options,
      ];
      entry.report = JSON.parse(timed(process.execPath, words).stdout) as ConvertReport;
      entry.seconds.push(entry.report.seconds.factorize);
      process.stderr.write(`${entry.name}: ${entry.seconds.at(-1)!.toFixed(2)} s\n`);
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}

/** The largest relative difference of the layers' function errors. */
function difference(one: ConvertReport, other: ConvertReport): number {
  const differences = one.layers.map(({ functionError }, i) =>
    functionError === null ? 0 : Math.abs(other.layers[i]!.functionError! / functionError - 1),
  );
  return Math.max(...differences);
}

const of = (name: string): Contender => contenders.find((entry) => entry.name === name)!;
const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
saveResult('engine', {
  version,
  model: 'resnet18, fresh weights',
  rounds,
  factorizeSeconds: Object.fromEntries(contenders.map(({ name, seconds }) => [name, median(seconds)])),
  ratios: {
    'wasm / ort, lfai': median(of('wasm lfai').seconds) / median(of('ort lfai').seconds),
    'wasm / ort, lfai-ws-adam': median(of('wasm lfai-ws-adam').seconds) / median(of('ort lfai-ws-adam').seconds),
  },
  largestDifferenceOfFunctionErrors: difference(of('ort lfai').report!, of('wasm lfai').report!),
  engines: contenders.map(({ name, report }) => ({ name, engine: report!.engine })),
});
