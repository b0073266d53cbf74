// How close the truncated SVD comes to the optimum, ‖W−Ŵ‖_F over that of LAPACK in float64, on every layer of real models.
// npm run bench -- svd [--models resnet50,mnist] [--scales 0.1,0.25,0.5]      (parts of paths). Set LOWRANK_ORACLE_PYTHON.
// Ŵ is the product of the two float32 factors that `--init spectral` writes, every layer in each scheme it can take.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { LowrankError } from '../src/errors.js';
import { selectCandidates } from '../src/factorize/candidates.js';
import { matrixShape, schemesOf } from '../src/rewrite/geometry.js';
import { inits } from '../src/factorize/inits/index.js';
import { findLayers } from '../src/rewrite/layers.js';
import { isOutputMajor, toMatrix } from '../src/rewrite/layout.js';
import { prepareModel } from '../src/rewrite/prepare.js';
import { resolveSettings } from '../src/convert/settings.js';
import type { FactorPair } from '../src/rewrite/types.js';
import { createLinalg } from '../src/linalg/linalg.js';
import type { Matrix } from '../src/linalg/types.js';
import { loadDriver } from '../src/runtime/driver.js';
import { oraclePython, saveResult, timed } from './support/bench.js';
import { modelPaths, modelsFolder } from './support/models.js';

const { values } = parseArgs({
  options: { models: { type: 'string', default: '' }, scales: { type: 'string', default: '0.1,0.25,0.5' } },
});
const scales = values.scales.split(',').map(Number);
const limit = 1 + 1e-4;
/** Distances below this part of ‖W‖ are the rounding of float32 factors: rank-deficient weights have no optimum to compare with. */
const rounding = 4e-7;

interface Measured {
  readonly layer: string;
  readonly scheme: string;
  readonly rows: number;
  readonly cols: number;
  readonly rank: number;
  readonly rankScale: number;
  /** ‖W−Ŵ‖_F / optimum; null where the optimum is rounding. */
  readonly ratio: number | null;
  /** ‖W−Ŵ‖_F / ‖W‖_F. */
  readonly weightError: number;
}

const linalg = await createLinalg({ driver: await loadDriver() });
const folder = mkdtempSync(join(tmpdir(), 'lowrank-bench-'));

interface Distances {
  readonly norm: number;
  readonly ranks: readonly { readonly distance: number; readonly optimum: number }[];
}

function judge(weight: Matrix, pairs: readonly FactorPair[]): Distances {
  const path = join(folder, 'problem.bin');
  const parts = [weight.data, ...pairs.flatMap(({ left, right }) => [left.data, right.data])];
  writeFileSync(path, Buffer.concat(parts.map((part) => Buffer.from(part.buffer, part.byteOffset, part.byteLength))));
  const problem = { path, rows: weight.rows, cols: weight.cols, ranks: pairs.map(({ left }) => left.cols) };
  return JSON.parse(timed(oraclePython, ['bench/support/svd-oracle.py', JSON.stringify(problem)]).stdout) as Distances;
}

async function measureModel(path: string): Promise<readonly Measured[]> {
  const { model, shapes } = await prepareModel(join(modelsFolder, path), { driver: loadDriver });
  const { selection, fitting } = resolveSettings({ keepFirst: false, keepLast: false });
  const { candidates } = selectCandidates(model, findLayers(model.graph, shapes), selection, fitting.init);
  const measured: Measured[] = [];
  for (const { layer, activation } of candidates) {
    const outputMajor = isOutputMajor(layer.form, layer.node.int('transB', 0));
    for (const scheme of schemesOf(layer.geometry, layer.form !== 'conv')) {
      const weight = toMatrix(layer.weight.data(), layer.geometry, scheme, outputMajor);
      const { rows, cols, rowsPerNeuron } = matrixShape(layer.geometry, scheme);
      const ranks = scales.map((scale) => Math.max(1, Math.round(scale * Math.min(rows, cols))));
      const pairs: FactorPair[] = [];
      for (const rank of ranks) {
        pairs.push(await inits.spectral.fit({ weight, rowsPerNeuron, rank, activation, seed: 0, linalg }));
      }
      const { norm, ranks: distances } = judge(weight, pairs);
      distances.forEach(({ distance, optimum }, index) => {
        const isComparable = optimum > rounding * norm;
        if (!isComparable && distance > rounding * norm) {
          throw new LowrankError('NUMERIC', `${distance / norm} of ‖W‖ where the weight has rank ${ranks[index]!}`, {
            place: `${path}, layer '${layer.name}'`,
          });
        }
        measured.push({
          layer: layer.name,
          scheme,
          rows,
          cols,
          rank: ranks[index]!,
          rankScale: scales[index]!,
          ratio: isComparable ? distance / optimum : null,
          weightError: norm === 0 ? 0 : distance / norm,
        });
      });
    }
  }
  model.file?.close();
  return measured;
}

const results: object[] = [];
const above: object[] = [];
try {
  for (const path of modelPaths().filter((name) => values.models.split(',').some((part) => name.includes(part)))) {
    const measured = await measureModel(path);
    const compared = measured.filter(({ ratio }) => ratio !== null).sort((a, b) => b.ratio! - a.ratio!);
    const worst = compared[0] ?? null;
    above.push(...compared.filter(({ ratio }) => ratio! > limit).map((fit) => ({ model: path, fit })));
    results.push({
      model: path,
      fits: measured.length,
      rankDeficient: measured.length - compared.length,
      largestExcess: worst === null ? null : worst.ratio! - 1,
      worst,
    });
    const excess =
      worst === null
        ? '–'
        : `1 + ${(worst.ratio! - 1).toExponential(1)} ('${worst.layer}', ${worst.scheme}, rank ${worst.rank})`;
    process.stdout.write(`${path}: ${measured.length} fits, largest ratio ${excess}\n`);
  }
} finally {
  await linalg.close();
  rmSync(folder, { recursive: true });
}
process.stdout.write(`${above.length} above ${limit}\n`);
saveResult('svd', { limit, scales, above, results });
if (above.length > 0) process.exitCode = 1;
