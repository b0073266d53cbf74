import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { countParameters, create } from '../../models/index.js';
import { readStudyFile } from '../../src/cli/study-file.js';
import type { TrainExplainReport } from '../../src/contracts/train-explain.js';
import { emitFits } from '../../src/factorize/emit-fits.js';
import { planRanks } from '../../src/factorize/plan.js';
import { selectLayers } from '../../src/factorize/select-layers.js';
import type { Model } from '../../src/graph/model.js';
import { writeModel } from '../../src/graph/write.js';
import { createLinalg } from '../../src/linalg/linalg.js';
import type { Matrix } from '../../src/linalg/types.js';
import { inferShapes } from '../../src/ops/infer.js';
import { countMacs } from '../../src/rewrite/count.js';
import { matrixShape } from '../../src/rewrite/geometry.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { type Cell, cellsOf, convertOptionsOf, trainSettingsOf } from '../../src/study/cells.js';
import type { Study } from '../../src/study/study.js';
import { explainTraining } from '../../src/training/explain.js';
import { checkTrainSettings } from '../../src/training/options.js';
import { settingsOf } from '../../src/warmup/then.js';
import { temporaryFolder } from '../support/command.js';
import { writeTextures } from '../support/tiny-classifier.js';

const folder = temporaryFolder();
const photos = join(folder, 'photos');
const studies = fileURLToPath(new URL('../../studies', import.meta.url));
const read = (name: string): Promise<Study> => readStudyFile(join(studies, name), {});

beforeAll(() => writeTextures(photos, 2, 1));

/** The first cell of a treatment. */
async function cellOf(
  name: string,
  treatment: Cell['treatment'],
): Promise<{ readonly study: Study; readonly cell: Cell }> {
  const study = await read(name);
  return { study, cell: cellsOf(study).find((cell) => cell.lowRank !== null && cell.treatment === treatment)! };
}

function created({ architecture }: Cell, numClasses?: number): Model {
  const { source } = architecture;
  if (source.kind === 'file') throw new Error(source.path);
  return create(source.architecture, { imageSize: source.imageSize, hidden: source.hidden, numClasses });
}

/** The model of a cell's conversion, with zeros in its pairs. */
async function converted(study: Study, cell: Cell): Promise<{ readonly model: Model; readonly pairs: number }> {
  const { seed: _seed, reinit: _reinit, ...options } = convertOptionsOf(study, cell);
  const { selection: layers, fitting, ranks } = settingsOf(options);
  const model = created(cell);
  const shapes = inferShapes(model, {
    inputShapes: { input: [1, ...model.graph.inputs[0]!.declared!.dims!.slice(1).map(Number)] },
  });
  const { selection } = selectLayers(model, shapes, layers, fitting.init);
  const linalg = await createLinalg({ driver: await loadDriver(), threads: 1 });
  try {
    const totals = { params: countParameters(model), macs: countMacs(model.graph, shapes) };
    const plans = await planRanks(selection.candidates, { settings: ranks, linalg, totals, signal: undefined });
    const zeros = (rows: number, cols: number): Matrix => ({ rows, cols, data: new Float32Array(rows * cols) });
    const fits = plans.flatMap(({ candidate, trials }) => {
      const [first] = trials ?? [];
      if (first === undefined) return [];
      const { scheme, rank } = first;
      const { rows, cols } = matrixShape(candidate.layer.geometry, scheme);
      return [{ candidate, scheme, rank, pair: { left: zeros(rows, rank), right: zeros(rank, cols) } }];
    });
    emitFits(model, fits, 'baseline');
    return { model, pairs: fits.length };
  } finally {
    await linalg.close();
  }
}

/** What a training of the cell would choose, on three classes of small pictures. */
async function explained(name: string, treatment: Cell['treatment']): Promise<TrainExplainReport> {
  const { study, cell } = await cellOf(name, treatment);
  const model = join(folder, `${name}.onnx`);
  writeModel(created(cell, 3), model);
  const settings = { ...trainSettingsOf(study, cell), batchSize: 2, workers: 0 };
  return explainTraining({ model, output: join(folder, 'never.onnx'), data: photos, val: photos, settings });
}

describe('study files that come along', () => {
  it('are all read', async () => {
    const names = readdirSync(studies);
    expect(names.length).toBeGreaterThan(10);
    for (const name of names) {
      const study = await read(name);
      const cells = cellsOf(study);
      expect(cells.length, name).toBeGreaterThan(0);
      for (const cell of cells) checkTrainSettings(trainSettingsOf(study, cell));
    }
  });

  // Of ResNet-18: 128 of the BatchNormalization of the stem, which Pufferfish's code leaves out.
  it.each([
    ['pufferfish-resnet18.yaml', 3_336_138 + 128, 14],
    ['pufferfish-vgg19.yaml', 8_370_634, 9],
    ['pufferfish-resnet50.yaml', 15_202_344, 10],
  ])('%s comes to the published size', async (name, params, layers) => {
    const { study, cell } = await cellOf(name, 'warmup-full');
    const { model, pairs } = await converted(study, cell);
    expect(countParameters(model)).toBe(params);
    expect(pairs).toBe(layers);
  });

  it('the perceptrons have the published weights, and a tolerance each', async () => {
    const study = await read('mnist-mlp.yaml');
    // Biases are not counted there.
    const weights = study.architectures.map(({ source }) => {
      const { hidden } = source as Extract<typeof source, { kind: 'created' }>;
      return countParameters(create('mlp', { hidden })) - 10 - hidden!.reduce((sum, units) => sum + units);
    });
    expect([...new Set(weights)]).toEqual([1_147_000, 2_466_464]);
    const cells = cellsOf(study).filter(({ treatment }) => treatment === 'adapt-ranks');
    const tolerances = [0.03, 0.05, 0.07, 0.09, 0.11, 0.13, 0.15, 0.17];
    expect(cells.map((cell) => trainSettingsOf(study, cell).tolerance)).toEqual([...tolerances, ...tolerances]);
  });

  it('--explain of pairs behind full rank has the recipe', async () => {
    const report = await explained('pufferfish-resnet18.yaml', 'warmup-full');
    const recipe = { warmupFull: 80, epochs: 300, lr: 0.1, schedule: 'step', decayAt: [150, 250], frobeniusDecay: 0 };
    expect(report.settings).toMatchObject(recipe);
    expect(report.settings['conversion']).toMatchObject({ rankScale: 0.25, init: 'spectral', scheme: 'channel' });
  });

  it('--explain of studies that find ranks says which layers', async () => {
    const mlp = await explained('mnist-mlp.yaml', 'adapt-ranks');
    expect(mlp.ranks!.layers.map(({ startRank, mostRank }) => [startRank, mostRank])).toEqual(
      mlp.ranks!.layers.map(() => [350, 350]),
    );
    expect(mlp.ranks!.layers.length).toBe(4);
    expect(mlp.ranks!.kept.map(({ name }) => name)).toEqual(['/fc5/Gemm']);
  });
});
