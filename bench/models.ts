// What a conversion with default options makes of every real model, and how exactly it reproduces it at full rank.
// npm run bench -- models [--models resnet,mnist]        (parts of paths)
// Whole processes; each line is from the report that the command prints. Writes docs/models-table.md too.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { ConvertReport } from '../src/index.js';
import { saveResult } from './support/bench.js';
import { modelPaths, modelsFolder, refusedPaths } from './support/models.js';

const { values } = parseArgs({ options: { models: { type: 'string', default: '' } } });
const folder = mkdtempSync(join(tmpdir(), 'lowrank-bench-'));

interface Row {
  readonly model: string;
  readonly factorized: number;
  readonly kept: number;
  /** Layers kept for each reason, numbers in it left out. */
  readonly reasons: Readonly<Record<string, number>>;
  readonly paramsRatio: number;
  readonly macsRatio: number;
  readonly seconds: number;
  readonly fullRank: { readonly factorized: number; readonly relativeDiff: number };
  readonly warnings: readonly string[];
}

type Outcome = { readonly report: ConvertReport; readonly seconds: number } | { readonly error: string };

function convert(path: string, ...options: string[]): Outcome {
  const started = performance.now();
  const args = ['bin/lowrank-convert.js', join(modelsFolder, path), '-o', join(folder, 'out.onnx'), '--force'];
  const { status, stdout, stderr } = spawnSync(process.execPath, [...args, '--json', ...options], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  if (status !== 0) return { error: `exit ${status}: ${stderr.trim().replaceAll(`${modelsFolder}/`, '')}` };
  return { report: JSON.parse(stdout) as ConvertReport, seconds: (performance.now() - started) / 1000 };
}

const factorizedIn = ({ layers }: ConvertReport): number =>
  layers.filter(({ action }) => action === 'factorized').length;

function reasonsOf({ layers }: ConvertReport): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { action, reason } of layers) {
    if (action === 'factorized') continue;
    const kind = reason.replaceAll(/\d+(?:\.\d+)?/g, 'n');
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}

const rows: Row[] = [];
const refused: { readonly model: string; readonly error: string }[] = [];
try {
  for (const path of modelPaths().filter((name) => values.models.split(',').some((part) => name.includes(part)))) {
    const usual = convert(path);
    const full = convert(path, '--rank-scale', '1', '--allow-bigger', '--no-keep-first', '--no-keep-last');
    const failed = [usual, full].find((outcome) => 'error' in outcome);
    if (failed !== undefined && 'error' in failed) throw new Error(`${path}: ${failed.error}`);
    if ('error' in usual || 'error' in full) continue;
    const { report, seconds } = usual;
    const factorized = factorizedIn(report);
    const row: Row = {
      model: path.replace(/\.onnx$/, ''),
      factorized,
      kept: report.layers.length - factorized,
      reasons: reasonsOf(report),
      paramsRatio: report.totals.params.ratio,
      macsRatio: report.totals.macs.ratio,
      seconds: Number(seconds.toFixed(2)),
      fullRank: { factorized: factorizedIn(full.report), relativeDiff: full.report.verify!.relativeDiff },
      warnings: report.warnings,
    };
    rows.push(row);
    process.stderr.write(`${JSON.stringify(row)}\n`);
  }
  if (values.models === '') {
    for (const path of refusedPaths()) {
      const outcome = convert(path);
      if (!('error' in outcome)) throw new Error(`${path} was converted`);
      refused.push({ model: path, error: outcome.error });
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}

const table = [
  '| model | factorized | kept | parameters | MACs | relative difference at full rank (layers) | seconds |',
  '| --- | ---: | ---: | ---: | ---: | ---: | ---: |',
  ...rows.map(({ model, factorized, kept, paramsRatio, macsRatio, fullRank, seconds }) =>
    [
      '',
      model,
      factorized,
      kept,
      `${paramsRatio.toFixed(3)}×`,
      `${macsRatio.toFixed(3)}×`,
      `${fullRank.relativeDiff.toExponential(1)} (${fullRank.factorized})`,
      seconds.toFixed(1),
      '',
    ].join(' | '),
  ),
].map((line) => line.trim());
process.stdout.write(`${table.join('\n')}\n`);
if (values.models === '') {
  const text = [
    '# Conversions of real models',
    '',
    'Written by `npm run bench -- models`: `lowrank convert` with default options (rank scale 0.25, `lfai`), the whole process, verification included, on',
    'two cores shared with other work (the seconds are upper bounds). Layers that are kept are those that no pair of that rank would make cheaper, grouped and depthwise convolutions, and the first and the last.',
    'The relative difference is that of the outputs with every layer that can be factorized at its full rank (`--rank-scale 1 --allow-bigger',
    '--no-keep-first --no-keep-last`). The models of `exports` are torchvision’s and timm’s at full size, their weights are made up.',
    '',
    ...table,
    '',
    '**Above 1e-5** are the three EfficientNets with made-up weights, which amplify rounding: moving every weight of the original by one unit in the last place',
    'changes its outputs by 6e-3 (efficientnet_b0-14cls), 4e-5 (torchscript-bn) and 3e-5 (timm), measured with onnxruntime alone; the trained st-efficientnet moves by 1e-7.',
    '',
    'Refused:',
    '',
    ...refused.map(({ model, error }) => `- ${model}: \`${error}\``),
    '',
  ];
  // What scripts/models-table writes behind it stays.
  const before = readFileSync('docs/models-table.md', 'utf8');
  const others = before.indexOf('\n## ');
  writeFileSync('docs/models-table.md', `${text.join('\n')}${others < 0 ? '' : before.slice(others)}`);
  saveResult('models', { results: rows, refused });
}
