import { merge, mergePaths } from '../merge/merge.js';
import type { MergedPair, MergeReport } from '../contracts/merge.js';
import { type Ratio, shownName } from '../contracts/convert.js';
import { formatChange, formatCount, formatError, formatRatio, formatSeconds, plural } from '../report/format.js';
import { writtenText } from '../report/written-text.js';
import { type Column, renderFacts, renderTable } from '../report/table.js';
import { paint, type Terminal } from '../report/terminal.js';
import { printable } from '../report/text.js';
import { defineCommand } from './command.js';
import { fileOptions } from './file-options.js';
import { parseInputShapes } from './input-shapes.js';
import { checkCommandPaths } from './paths.js';
import { memoryOption, timeoutOption } from './running-options.js';
import { given } from './training-options.js';

const phases = { read: 'reading', merge: 'multiplying', write: 'writing', verify: 'verifying' };

export const command = defineCommand({
  name: 'merge',
  summary: 'turn low-rank pairs back into single layers where that is cheaper, and fold BatchNormalization',
  arguments: { model: { description: 'ONNX model with low-rank pairs, whoever factorized it' } },
  options: {
    output: {
      type: 'string',
      short: 'o',
      placeholder: 'path',
      description: 'where to write (default: <model>.merged.onnx)',
    },
    force: { type: 'boolean', default: false, description: 'replace an existing output file' },
    ...fileOptions,
    all: {
      type: 'boolean',
      default: false,
      description: 'merge every pair, also where the single layer has more multiply-accumulates',
    },
    foldBatchNormalization: {
      type: 'boolean',
      default: true,
      description: 'leave BatchNormalization as it is',
    },
    verify: {
      type: 'boolean',
      default: true,
      group: 'Running',
      description: 'skip running the written model against the original',
    },
    inputShape: {
      type: 'list',
      placeholder: 'name=1,3,224,224',
      group: 'Running',
      description: 'shape of an input with dynamic axes',
    },
    device: {
      type: 'string',
      choices: ['cpu', 'cuda', 'webgpu'],
      default: 'cpu',
      group: 'Running',
      description: 'where the models run',
    },
    threads: {
      type: 'integer',
      minimum: 1,
      placeholder: 'n',
      group: 'Running',
      description: 'threads of onnxruntime (default: all cores)',
    },
    maxMemory: memoryOption('Running'),
    verifyTimeout: timeoutOption('Running'),
    seed: {
      type: 'integer',
      default: 0,
      minimum: 0,
      group: 'Running',
      description: 'seed of the inputs that both models are compared on',
    },
  },
  usual: ['output', 'all', 'foldBatchNormalization', 'verify', 'inputShape', 'force'],
  examples: [
    {
      command: 'lowrank merge model.lowrank.onnx',
      description: 'pairs that cost more than one layer become one; writes model.lowrank.merged.onnx',
    },
    {
      command: 'lowrank merge trained.onnx -o deploy.onnx',
      description: 'after training: folds BatchNormalization too, for inference',
    },
    {
      command: 'lowrank merge model.lowrank.onnx --all --no-fold-batch-normalization',
      description: 'undoes a conversion: every pair becomes a single layer',
    },
  ],
  async run(context) {
    const { output, inputShape, threads, maxMemory, verifyTimeout, ...options } = context.settings;
    const { model } = context.arguments;
    checkCommandPaths({ config: context.configPath }, mergePaths(model, output));
    const report = await merge(model, {
      ...options,
      ...given({ output, threads, maxMemory, verifyTimeout }),
      inputShapes: parseInputShapes(inputShape),
      signal: context.signal,
      onProgress: ({ phase, done, total, detail }) =>
        context.progress.update({ phase: phases[phase], done, total, detail }),
    });
    const document: MergeReport = { ...report, command: context.commandLine };
    return { document, text: (terminal) => renderMerge(document, terminal) };
  },
});

/** Kept pairs that are listed. */
const mostKept = 12;

const change = ({ before, after }: { readonly before: number; readonly after: number }): string =>
  `${formatCount(before)} -> ${formatCount(after)}`;

const columns: readonly Column<MergedPair>[] = [
  { header: 'merged', align: 'left', importance: 10, shrinkTo: 18, cut: 'middle', value: shownName },
  { header: 'op', align: 'left', importance: 3, value: ({ op }) => op },
  { header: 'scheme', align: 'left', importance: 4, value: ({ scheme }) => scheme },
  { header: 'rank', align: 'right', importance: 6, value: ({ rank }) => String(rank) },
  { header: 'params', align: 'right', importance: 7, value: ({ params }) => change(params) },
  { header: 'MACs', align: 'right', importance: 8, value: ({ macs }) => change(macs) },
  { header: 'pair by', align: 'left', importance: 2, value: ({ recognizedBy }) => recognizedBy },
];

function ratioLine(ratio: Ratio): string {
  return `${change(ratio)}  (${formatRatio(ratio.ratio)}, ${formatChange(ratio.ratio, { less: 'fewer', more: 'more' })})`;
}

/** Names with their reasons; equal reasons once, with how many share them. */
function reasons(kept: MergeReport['kept']): string[] {
  const counts = new Map<string, number>();
  for (const { reason } of kept) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  return [...counts].map(([reason, count]) => (count === 1 ? reason : `${count}: ${reason}`));
}

/** The report as text for people. Ends with a line break. */
function renderMerge(report: MergeReport, terminal: Terminal): string {
  const { merged, kept, keptBatchNormalizations, verify, output, seconds } = report;
  const keptFacts: [string, string][] = kept
    .slice(0, mostKept)
    .map((pair) => ['kept', `${shownName(pair)}: ${pair.reason}`]);
  if (kept.length > mostKept) keptFacts.push(['', `and ${kept.length - mostKept} more, which --json lists`]);
  const check =
    verify === null
      ? 'not run'
      : `same outputs: largest difference ${formatError(verify.relativeDiff)} of the largest output, over ${plural(verify.samples, 'random input')}`;
  const folded = `${report.foldedBatchNormalizations} folded${
    keptBatchNormalizations.length === 0
      ? ''
      : `, ${keptBatchNormalizations.length} stay (${reasons(keptBatchNormalizations).join('; ')})`
  }`;
  const facts: readonly (readonly [string, string])[] = [
    ['pairs', `${merged.length} merged, ${kept.length} kept`],
    ...keptFacts,
    ['BatchNormalization', report.settings['foldBatchNormalization'] === false ? 'left as it is' : folded],
    ['parameters', ratioLine(report.totals.params)],
    ['MACs', ratioLine(report.totals.macs)],
    ['check', check],
    ['written', writtenText(output)],
    ['time', formatSeconds(seconds.total)],
  ];
  const warnings = report.warnings.map((warning) => `${paint(terminal, 'yellow', 'warning:')} ${printable(warning)}`);
  return [
    paint(terminal, 'bold', printable(report.model.path)),
    '',
    ...(merged.length === 0 ? [] : [...renderTable(columns, merged, terminal), '']),
    ...renderFacts(facts, terminal),
    ...(warnings.length === 0 ? [] : ['', ...warnings]),
    '',
  ].join('\n');
}
