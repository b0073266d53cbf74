import type { Calibrate } from '../factorize/calibration/types.js';
import { inspect } from '../inspect/inspect.js';
import { modelReads } from '../graph/model-paths.js';
import type { InspectLayer, InspectReport } from '../contracts/inspect.js';
import { inspectHtml } from '../report/html/inspect-html.js';
import { inPercent } from '../report/progress.js';
import { renderInspectTable } from '../report/inspect-table.js';
import { given } from './training-options.js';
import { namedCalibration } from './calibration.js';
import { defineCommand } from './command.js';
import { givenImageSettings, imageOptions } from './image-options.js';
import { parseInputShapes } from './input-shapes.js';
import { type OptionOwners, orphanNotes } from './option-owners.js';
import { checkCommandPaths, writeReport } from './paths.js';
import { memoryOption, threadsOption, timeoutOption } from './running-options.js';

const sensitivityGroup = 'Sensitivity';

type Order = 'graph' | 'name' | 'params' | 'macs' | 'stable-rank';

export const command = defineCommand({
  name: 'inspect',
  summary: 'show layers, ranks and spectra of a full-rank or factorized model',
  arguments: { model: { description: 'ONNX model, whoever made it' } },
  options: {
    spectrum: {
      type: 'boolean',
      default: true,
      description: 'read no weights: sizes and ranks only, at once for any size of model',
    },
    sort: {
      type: 'string',
      choices: ['graph', 'name', 'params', 'macs', 'stable-rank'],
      default: 'graph',
      description: 'order of the layers; numbers with the largest first',
    },
    sensitivity: {
      type: 'boolean',
      default: false,
      group: sensitivityGroup,
      description:
        'what the outputs feel of each layer: how much they change where it alone is cut to half of its MACs',
    },
    data: {
      type: 'string',
      placeholder: 'path',
      group: sensitivityGroup,
      formerly: ['calibrate'],
      description:
        'images to see it on, which need no labels: a folder of them, or any data set (default: synthetic, drawn here)',
    },
    calibrateImages: {
      type: 'integer',
      minimum: 1,
      placeholder: 'n',
      group: sensitivityGroup,
      description: 'images that are looked at (default: 256)',
    },
    ...imageOptions(sensitivityGroup),
    report: { type: 'string', placeholder: 'path', description: 'also write an HTML report with charts' },
    force: { type: 'boolean', default: false, description: 'replace an existing report' },
    inputShape: {
      type: 'list',
      placeholder: 'name=1,3,224,224',
      group: 'Running',
      description: 'shape of an input with dynamic axes',
    },
    threads: threadsOption('Running'),
    maxMemory: memoryOption('Running'),
    verifyTimeout: timeoutOption('Running'),
  },
  usual: ['sensitivity', 'data', 'sort', 'spectrum', 'inputShape', 'report', 'force'],
  examples: [
    { command: 'lowrank inspect model.onnx', description: 'every layer with its rank, and the rank that 90 % need' },
    {
      command: 'lowrank inspect model.onnx --sensitivity',
      description: 'which layers the outputs feel most, on pictures that are drawn',
    },
    {
      command: 'lowrank inspect model.onnx --no-spectrum --sort macs',
      description: 'where the work is, without reading weights',
    },
    {
      command: 'lowrank inspect model.lowrank.onnx --report ranks.html',
      description: 'a converted model, with charts of its spectra',
    },
    {
      command: "lowrank inspect model.onnx --json | jq '.layers[] | select(.pair != null) | .name'",
      description: 'the low-rank pairs of a model, whoever factorized it',
    },
  ],
  async run(context) {
    const { spectrum, sort, report, force, inputShape, threads, maxMemory, verifyTimeout, ...looking } =
      context.settings;
    for (const note of orphanNotes(looking, imageOptionOwners)) context.note(note);
    const calibrate = looking.sensitivity ? await calibrationFor(looking) : undefined;
    checkCommandPaths(
      { config: context.configPath, report },
      [...modelReads(context.arguments.model), ...(calibrate?.paths ?? [])],
      force,
    );
    const found = await inspect(context.arguments.model, {
      spectrum,
      inputShapes: parseInputShapes(inputShape),
      ...given({ threads, maxMemory, verifyTimeout }),
      calibrate,
      signal: context.signal,
      onImages: (done, total, detail) => context.progress.update({ phase: 'looking at images', done, total, detail }),
      onProgress: ({ done, total, detail }) =>
        context.progress.update(inPercent({ phase: 'singular values', done, total, detail })),
    });
    const document: InspectReport = { ...found, layers: sorted(found.layers, sort) };
    if (report !== undefined) {
      await writeReport(report, () => inspectHtml(document));
      context.note(`report: ${report}`);
    }
    return { document, text: (terminal) => renderInspectTable(document, terminal) };
  },
});

/** Options that say how images are used belong to the one that asks for them. */
const imageOptionOwners: OptionOwners = Object.fromEntries(
  ['data', 'calibrateImages', ...Object.keys(imageOptions(sensitivityGroup))].map((name) => [name, ['sensitivity']]),
);

function calibrationFor(
  settings: {
    readonly data?: string | undefined;
    readonly calibrateImages?: number | undefined;
  } & Parameters<typeof givenImageSettings>[0],
): Promise<Calibrate> {
  const { data = 'synthetic', calibrateImages } = settings;
  return namedCalibration(data, { ...given({ images: calibrateImages }), ...givenImageSettings(settings) });
}

const orders: Readonly<Record<Exclude<Order, 'graph'>, (a: InspectLayer, b: InspectLayer) => number>> = {
  name: (a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }),
  params: (a, b) => b.params.after - a.params.after,
  macs: (a, b) => b.macs.after - a.macs.after,
  'stable-rank': (a, b) => (b.spectrum?.stableRank ?? -1) - (a.spectrum?.stableRank ?? -1),
};

function sorted(layers: readonly InspectLayer[], order: Order): readonly InspectLayer[] {
  return order === 'graph' ? layers : layers.toSorted(orders[order]);
}
