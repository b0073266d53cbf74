// What a search for an accuracy budget takes beside one conversion of the same model, without the evaluations (they are in the cache
// the second time) and with them.
// npm run bench -- accuracy-search [--cases resnet20,…] [--inits lfai-data,whitened] [--points 3] [--images 1000]
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { accuracySearch, calibration, convert, type ConvertReport, type InitName } from '../src/index.js';
import { earlierResults, saveResult } from './support/bench.js';
import { cases, shared } from './support/cases.js';

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: 'resnet20,efficientnet' },
    inits: { type: 'string', default: 'lfai-data,whitened' },
    points: { type: 'string', default: '3' },
    images: { type: 'string', default: '1000' },
    'calibrate-images': { type: 'string', default: '256' },
  },
});

interface Result {
  readonly model: string;
  readonly init: string;
  readonly points: number;
  readonly images: number;
  readonly trials: number;
  readonly macsRatio: number;
  /** Fraction of 1. */
  readonly drop: number;
  readonly seconds: {
    readonly conversion: number;
    readonly search: number;
    /** With every evaluation in the cache. */
    readonly searchWithoutEvaluations: number;
  };
  readonly ratio: number;
}

const keyOf = ({ model, init, points }: Result): string => [model, init, points].join(' ');
const results = earlierResults<Result>('accuracy-search', keyOf);
const folder = mkdtempSync(join(tmpdir(), 'lowrank-search-'));

try {
  for (const model of values.cases.split(',')) {
    const found = cases[model];
    if (found === undefined) continue;
    const { fit, val } = found.images(folder);
    const { normalization } = found;
    for (const init of values.inits.split(',') as InitName[]) {
      const points = Number(values.points);
      const evaluation = { normalization, limit: Number(values.images) };
      const calibrate = calibration(fit, { normalization, images: Number(values['calibrate-images']) });
      const call = { output: join(folder, 'out.onnx'), force: true, init, calibrate };
      const path = shared(`models/${found.file}`);
      const search = (): Promise<ConvertReport> =>
        convert(path, {
          ...call,
          accuracyBudget: points,
          searchRanks: accuracySearch(val, { cache: join(folder, 'cache'), evaluation }),
        });
      const one = await convert(path, call);
      const cold = await search();
      const warm = await search();
      const { trials, chosen, images } = warm.accuracyBudget!;
      const seconds = {
        conversion: one.seconds.total,
        search: cold.seconds.total,
        searchWithoutEvaluations: warm.seconds.total,
      };
      const ratio = seconds.searchWithoutEvaluations / seconds.conversion;
      const { ratio: macsRatio } = warm.totals.macs;
      const { drop } = trials[chosen]!;
      const result: Result = { model, init, points, images, trials: trials.length, macsRatio, drop, seconds, ratio };
      results.set(keyOf(result), result);
      const times = Object.values(seconds).map((each) => `${each.toFixed(0)} s`);
      process.stdout.write(
        `${model} ${init}, ${points} points: ${trials.length} trials, MACs ×${macsRatio.toFixed(3)}, drop ${(100 * drop).toFixed(2)}; ` +
          `one conversion ${times[0]}, search ${times[1]}, without evaluations ${times[2]}: ×${ratio.toFixed(2)}\n`,
      );
      saveResult('accuracy-search', { results: [...results.values()] });
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}
