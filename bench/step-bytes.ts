/**
 * What the nodes of a training step read and write: the form for CUDA against the portable form, whose
 * BatchNormalization is written as means for CUDA. A device that keeps nothing between two nodes is bound by it.
 *
 *   npm run bench -- step-bytes [--models resnet50,efficientnet_b0] [--scales 0,0.25] [--batch 256]
 *
 * Nothing is run: the graphs are emitted and their bytes are counted. The result is the same on every machine.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { NORMALIZATIONS } from '../src/data/normalize.js';
import { inferShapes } from '../src/ops/infer.js';
import { loadDriver } from '../src/runtime/driver.js';
import { buildGradientGraph } from '../src/step/gradient-graph.js';
import { prepareTraining } from '../src/step/prepare.js';
import { precisionNames } from '../src/contracts/train-settings.js';
import { defaultGraphSettings } from '../src/step/settings.js';
import { type StepCost, stepCost } from '../src/step/step-cost.js';
import { targetOf } from '../src/lower/target.js';
import { makeStepModel, saveResult } from './support/bench.js';

const { values: options } = parseArgs({
  options: {
    models: { type: 'string', default: 'resnet50,efficientnet_b0' },
    scales: { type: 'string', default: '0,0.25' },
    batch: { type: 'string', default: '256' },
  },
});
const batch = Number(options.batch);
const round = (value: number, digits: number): number => Number(value.toPrecision(digits));
const target = await targetOf('cuda', await loadDriver());
const bytes = { normalization: NORMALIZATIONS.imagenet, hasFlips: true };
const folder = mkdtempSync(join(tmpdir(), 'lowrank-bench-'));
const results: object[] = [];
try {
  for (const architecture of options.models.split(',')) {
    for (const scale of options.scales.split(',').map(Number)) {
      const path = makeStepModel(architecture, scale, 224, folder);
      for (const precision of precisionNames) {
        const settings = { ...defaultGraphSettings, labelSmoothing: 0.1, precision };
        const prepared = prepareTraining(path, { settings });
        const emit = { batch, isBatchOpen: false, passes: target.passes };
        const cost = (build?: typeof target.build): StepCost => {
          const { model } = buildGradientGraph(prepared, settings, emit, build, undefined, bytes);
          return stepCost(model, inferShapes(model));
        };
        const [portable, cuda] = [cost(), cost(target.build)];
        prepared.model.file?.close();
        const ratio = round(cuda.bytes / portable.bytes, 3);
        const gigabytes = { portable: round(portable.bytes / 1e9, 4), cuda: round(cuda.bytes / 1e9, 4) };
        results.push({
          architecture,
          scale,
          precision,
          batch,
          gigabytes,
          ratio,
          teraflop: round((2 * cuda.macs) / 1e12, 4),
        });
        process.stdout.write(
          `${architecture} scale ${scale} ${precision}: ${gigabytes.portable} GB → ${gigabytes.cuda} GB, ${ratio}\n`,
        );
      }
    }
  }
  saveResult('step-bytes', { batch, results });
} finally {
  rmSync(folder, { recursive: true, force: true });
}
