// Converting ResNet-50 against numpy.linalg.svd of the same matrices, whole processes, in turns.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { median, oraclePython, saveResult, sharedFolder, timed } from './support/bench.js';

const model = join(sharedFolder, 'data/models/exports/torchscript-bn/resnet50.onnx');
const rounds = Number(process.argv[2] ?? 3);
const folder = mkdtempSync(join(tmpdir(), 'lowrank-bench-'));

// The matrices that --scheme spatial factorizes: every convolution but the first, (out·kh) × (in·kw).
const numpySvd = `
import sys, time, json
import numpy, onnx
from onnx import numpy_helper
model = onnx.load(sys.argv[1])
weights = {t.name: t for t in model.graph.initializer}
matrices = []
for node in [n for n in model.graph.node if n.op_type == 'Conv'][1:]:
    w = numpy_helper.to_array(weights[node.input[1]])
    o, i, kh, kw = w.shape
    matrices.append(numpy.ascontiguousarray(w.transpose(0, 2, 1, 3).reshape(o * kh, i * kw)))
started = time.perf_counter()
for m in matrices: numpy.linalg.svd(m, full_matrices=False)
print(json.dumps({'seconds': time.perf_counter() - started, 'matrices': len(matrices)}))
`;

interface Contender {
  readonly name: string;
  readonly seconds: number[];
  readonly run: () => number;
}

function contender(name: string, ...options: string[]): Contender {
  const run = (): number =>
    timed(process.execPath, [
      'bin/lowrank-convert.js',
      model,
      '-o',
      join(folder, 'out.onnx'),
      '--force',
      '--quiet',
      '--scheme',
      'spatial',
      ...options,
    ]).seconds;
  return { name, seconds: [], run };
}

const contenders: Contender[] = [
  {
    name: 'numpy svd',
    seconds: [],
    run: () => {
      process.env['OMP_NUM_THREADS'] = process.env['OPENBLAS_NUM_THREADS'] = '2';
      return (JSON.parse(timed(oraclePython, ['-c', numpySvd, model]).stdout) as { seconds: number }).seconds;
    },
  },
  contender('spectral 0.25', '--init', 'spectral', '--rank-scale', '0.25'),
  contender('spectral 0.1', '--init', 'spectral', '--rank-scale', '0.1'),
  contender('lfai 0.25', '--init', 'lfai', '--rank-scale', '0.25'),
  contender('lfai 0.1', '--init', 'lfai', '--rank-scale', '0.1'),
];

try {
  for (let round = 0; round < rounds; round++) {
    for (const { name, seconds, run } of contenders) {
      seconds.push(run());
      process.stderr.write(`${name}: ${seconds.at(-1)!.toFixed(2)} s\n`);
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}

const time = Object.fromEntries(contenders.map(({ name, seconds }) => [name, median(seconds)]));
const ratios = {
  'spectral 0.25 / svd (≤ 0.5)': time['spectral 0.25']! / time['numpy svd']!,
  'spectral 0.1 / svd (≤ 0.35)': time['spectral 0.1']! / time['numpy svd']!,
  'lfai 0.25 / spectral 0.25 (≤ 2)': time['lfai 0.25']! / time['spectral 0.25']!,
  'lfai 0.1 / spectral 0.1 (≤ 2)': time['lfai 0.1']! / time['spectral 0.1']!,
};
for (const [name, ratio] of Object.entries(ratios)) process.stdout.write(`${name}: ${ratio.toFixed(3)}\n`);
saveResult('convert', { rounds, medianSeconds: time, ratios });
