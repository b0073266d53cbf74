// What choosing ranks by what the outputs feel (the default) is worth, beside the rule of the weights alone (the lost share of ‖W‖²_F)
// and one rank scale for all layers, at the same multiply-accumulates and with the same fit: no data. Top-1 without training, paired.
// npm run bench -- rank-rules [--cases resnet20,…] [--budgets 0.75,0.6,0.45,0.3] [--images 600] [--of macs]
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { convert, type ConvertModelCall, type ConvertReport, evaluateModel } from '../src/index.js';
import { earlierResults, saveResult } from './support/bench.js';
import { cases, shared } from './support/cases.js';

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: 'resnet20,resnet20-op7,resnet8,conv8,efficientnet,vit' },
    budgets: { type: 'string', default: '0.75,0.6,0.45,0.3' },
    images: { type: 'string', default: '600' },
    of: { type: 'string', default: 'macs' },
  },
});

type Of = 'macs' | 'params';
interface Result {
  readonly model: string;
  readonly of: Of;
  readonly budget: number;
  readonly n: number;
  readonly original: number;
  readonly top1: number;
  /** What ranks were weighed by. */
  readonly rule: string;
  readonly others: Readonly<
    Record<
      string,
      {
        readonly top1: number;
        /** Fraction of the multiply-accumulates, or parameters, that is left. */
        readonly left: number;
        /** top1 of the default − that of this, on the same images. */
        readonly gain: number;
        readonly ci95: readonly [number, number];
      }
    >
  >;
}

const of = values.of as Of;
const folder = mkdtempSync(join(tmpdir(), 'lowrank-rank-rules-'));
const output = join(folder, 'out.onnx');
const converted = (path: string, call: Partial<ConvertModelCall>): Promise<ConvertReport> =>
  convert(path, { output, force: true, verify: false, ...call });
const leftOf = ({ totals }: ConvertReport): number => totals[of].ratio;
const budgetCall = (fraction: number): Partial<ConvertModelCall> =>
  of === 'macs' ? { macsBudget: fraction } : { paramsBudget: fraction };

type Ranks = NonNullable<ConvertModelCall['ranks']>;

function ranksOf({ layers }: ConvertReport): Ranks {
  return Object.fromEntries(
    layers.flatMap(({ name, rank, scheme }) => (rank === null || scheme === null ? [] : [[name, { rank, scheme }]])),
  );
}

/** One rank scale for all layers, as small as leaves so much. */
async function uniform(path: string, wanted: number): Promise<ConvertReport | undefined> {
  let [low, high] = [0.001, 1];
  let found: ConvertReport | undefined;
  for (let step = 0; step < 9; step++) {
    const rankScale = (low + high) / 2;
    const report = await converted(path, { calibrate: 'none', init: 'spectral', rankScale }).catch(() => undefined);
    if (report === undefined || leftOf(report) > wanted) high = rankScale;
    else {
      low = rankScale;
      found = report;
    }
  }
  return found;
}

const keyOf = (result: Pick<Result, 'model' | 'of' | 'budget'>): string =>
  [result.model, result.of, result.budget].join(' ');
const results = earlierResults<Result>('rank-rules', keyOf);
const points = (value: number): string => (100 * value).toFixed(1);

try {
  for (const model of values.cases.split(',')) {
    const { file, normalization, images } = cases[model]!;
    const path = shared(`models/${file}`);
    const { val } = images(folder);
    const settings = { normalization, limit: Number(values.images) };
    for (const budget of values.budgets.split(',').map(Number)) {
      const best = join(folder, 'best.onnx');
      let report: ConvertReport;
      try {
        report = await converted(path, { ...budgetCall(budget), output: best });
      } catch (error) {
        process.stdout.write(`${model} ${budget}: ${(error as Error).message}\n`);
        continue;
      }
      const own = await evaluateModel({ model: best, versus: path, data: val, settings });
      const rivals = {
        weights: await converted(path, { ...budgetCall(budget), calibrate: 'none', init: 'spectral' }).catch(
          () => undefined,
        ),
        uniform: await uniform(path, leftOf(report)),
      };
      const others: Record<string, Result['others'][string]> = {};
      for (const [rule, rival] of Object.entries(rivals)) {
        if (rival === undefined) continue;
        const fitted = await converted(path, { ranks: ranksOf(rival), calibrate: 'synthetic' });
        const measured = await evaluateModel({ model: best, versus: output, data: val, settings });
        const { top1, difference, ci95 } = measured.versus!;
        others[rule] = { top1, left: leftOf(fitted), gain: difference, ci95 };
      }
      const chosen = report.sensitivity?.rules?.find(({ isChosen }) => isChosen)?.rule ?? 'outputs';
      const result = { model, of, budget, n: own.n, original: own.versus!.top1, top1: own.top1, rule: chosen, others };
      results.set(keyOf(result), result);
      const shown = Object.entries(others).map(
        ([rule, { top1, gain, ci95, left }]) =>
          `${rule} ${points(top1)} at ${left.toFixed(3)}, gain ${points(gain)} [${ci95.map(points).join(', ')}]`,
      );
      process.stdout.write(
        `${model} ${of} ${budget} (${leftOf(report).toFixed(3)}, by ${chosen}): ${points(own.top1)} of ${points(result.original)}; ${shown.join('; ')}\n`,
      );
      saveResult('rank-rules', { results: [...results.values()] });
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}
