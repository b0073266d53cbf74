// What a search for an accuracy budget takes beside one conversion of the same model, without the evaluations (they are in the cache
// the second time) and with them. Ratios are of the processor's time, which other programs on the machine hardly change.
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
  readonly conversion: Time;
  readonly search: Time;
  /** With every evaluation in the cache. */
  readonly withoutEvaluations: Time;
  /** Of the searches to the conversion. */
  readonly ratios: { readonly search: number; readonly withoutEvaluations: number };
}

interface Time {
  readonly seconds: number;
  /** Of all threads. */
  readonly processorSeconds: number;
}

async function timed(work: () => Promise<ConvertReport>): Promise<{ report: ConvertReport; time: Time }> {
  const before = process.cpuUsage();
  const report = await work();
  const { user, system } = process.cpuUsage(before);
  return { report, time: { seconds: report.seconds.total, processorSeconds: (user + system) / 1e6 } };
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
          searchRanks: accuracySearch(val, { cache: join(folder, `cache-${model}-${init}`), evaluation }),
        });
      const { time: conversion } = await timed(() => convert(path, call));
      const { time: cold } = await timed(search);
      const { time: warm, report } = await timed(search);
      const { trials, chosen, images } = report.accuracyBudget!;
      const { ratio: macsRatio } = report.totals.macs;
      const { drop } = trials[chosen]!;
      const times = { conversion, search: cold, withoutEvaluations: warm };
      const ratios = {
        search: cold.processorSeconds / conversion.processorSeconds,
        withoutEvaluations: warm.processorSeconds / conversion.processorSeconds,
      };
      const result: Result = { model, init, points, images, trials: trials.length, macsRatio, drop, ...times, ratios };
      results.set(keyOf(result), result);
      const texts = Object.values(times).map(({ processorSeconds }) => `${processorSeconds.toFixed(0)} s`);
      process.stdout.write(
        `${model} ${init}, ${points} points: ${trials.length} trials, MACs ×${macsRatio.toFixed(3)}, drop ${(100 * drop).toFixed(2)}; one conversion ${texts[0]} of the processor, ` +
          `search ${texts[1]}: ×${ratios.search.toFixed(2)}, without evaluations ${texts[2]}: ×${ratios.withoutEvaluations.toFixed(2)}\n`,
      );
      saveResult('accuracy-search', { results: [...results.values()] });
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}
