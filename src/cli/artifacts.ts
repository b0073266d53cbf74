import { LowrankError } from '../errors.js';
import { formatWhole, plural } from '../report/format.js';
import { matchedText } from '../report/recover-table.js';
import { preparationText } from '../report/preparation-text.js';
import { renderFacts } from '../report/table.js';
import { paint, type Terminal } from '../report/terminal.js';
import { printable } from '../report/text.js';
import type { WriteBackReport, WrittenTensors } from '../contracts/write-back.js';
import { writtenText } from '../report/written-text.js';
import { artifactPaths, writeArtifacts } from '../artifacts/artifacts.js';
import type { ArtifactsAdaptation, ArtifactsManifest } from '../contracts/artifacts.js';
import { targetNames } from '../lower/target.js';
import { batchNormNames } from '../recover/settings.js';
import type { MatchSettings } from '../step/match-settings.js';
import { type WriteBackOptions, writeBack, writeBackPaths } from '../artifacts/write-back.js';
import { adaptOptions, givenAdaptSettings } from './adapt-options.js';
import { type CommandContext, type CommandResult, defineCommand } from './command.js';
import { givenImageSettings, imageOptions } from './image-options.js';
import { checkCommandPaths } from './paths.js';
import { flagOf, type SettingsOf } from './options.js';
import { memoryOption } from './running-options.js';
import { givenMatchSettings, matchOptions, refuseWithoutTeacher } from './teacher-options.js';
import { given, givenGraphSettings, graphOptions } from './training-options.js';

// For how long a training lasts, and so when a size is reached, is the program's own.
const { targetParams: _params, targetMacs: _macs, ...foundRanks } = adaptOptions;

const options = {
  output: {
    type: 'string',
    short: 'o',
    placeholder: 'path',
    description: 'where to write (default: <model>.artifacts; with --write-back <model>.trained.onnx)',
  },
  writeBack: {
    type: 'string',
    placeholder: 'file',
    description: 'write a model with what another program trained: safetensors of its parameters and statistics',
  },
  force: { type: 'boolean', default: false, description: 'replace what is there' },
  target: {
    type: 'string',
    choices: targetNames,
    default: 'portable',
    description:
      'portable: standard operators only; cuda: those of them that CUDA takes; cpu: the fast form for this machine',
  },
  batchSize: {
    type: 'integer',
    minimum: 1,
    placeholder: 'n',
    description: 'images of one run (default: any number; --target cpu needs one)',
  },
  classes: {
    type: 'string',
    placeholder: 'file',
    description: "class list in the order of the model's outputs, for the manifest (default: what the model says)",
  },
  ...matchOptions,
  batchNorm: {
    type: 'string',
    choices: batchNormNames,
    group: 'Teacher',
    description:
      'BatchNormalization by its running statistics, or by those of batches (default: auto, which is frozen: no pictures are counted here)',
  },
  ...foundRanks,
  ...imageOptions('Images (for the manifest)'),
  maxMemory: memoryOption('Running'),
  ...graphOptions,
} as const;

type Context = CommandContext<{ readonly model: string | undefined }, SettingsOf<typeof options>>;

export const command = defineCommand({
  name: 'artifacts',
  summary: 'write training as ONNX graphs, so that any language with onnxruntime can train the model',
  arguments: {
    model: {
      description: 'ONNX classifier with float32 weights (--write-back takes the folder of its artifacts too, or none)',
      isOptional: true,
    },
  },
  options,
  usual: ['output', 'writeBack', 'teacher', 'adaptRanks', 'target', 'batchSize', 'optimizer', 'weightDecay', 'force'],
  examples: [
    {
      command: 'lowrank artifacts model.onnx -o training/',
      description: 'training/manifest.json says how to drive gradient.onnx and update.onnx',
    },
    {
      command: 'lowrank artifacts model.onnx -o training/ --optimizer adamw --weight-decay 0.05 --clip 1',
      description: 'another update rule',
    },
    {
      command: 'lowrank artifacts training/ --write-back trained.safetensors -o tuned.onnx',
      description: 'the model with what a program in another language trained',
    },
    {
      command: 'lowrank artifacts small.lowrank.onnx --teacher model.onnx -o recovery/',
      description: 'the step that makes a converted model compute what the original does, without labels',
    },
    {
      command: 'lowrank artifacts model.onnx --adapt-ranks augmented --tolerance 0.1 -o training/',
      description: 'the program finds the ranks of the layers: see examples/train_adaptive.py',
    },
    {
      command: 'lowrank artifacts small.lowrank.onnx -o training/ --frobenius-decay 1e-4',
      description: 'a converted model: its pairs are decayed as products',
    },
  ],
  async run(context) {
    const { settings, signal, progress } = context;
    const { model } = context.arguments;
    if (settings.writeBack !== undefined) return runWriteBack(settings.writeBack, context);
    if (model === undefined) {
      throw new LowrankError('USAGE', 'no model is given', { remedy: 'name an ONNX classifier' });
    }
    const { teacher } = settings;
    if (teacher === undefined) refuseWithoutTeacher(context.given, [...Object.keys(matchOptions), 'batchNorm']);
    const folder = settings.output ?? `${model.replace(/\.onnx$/, '')}.artifacts`;
    checkCommandPaths({ config: context.configPath, classes: settings.classes }, artifactPaths(model, folder, teacher));
    const manifest = await writeArtifacts(model, folder, {
      settings: {
        ...given({ batchSize: settings.batchSize }),
        ...givenImageSettings(settings),
        target: settings.target,
        ...givenGraphSettings(settings),
      },
      adapt: givenAdaptSettings({ ...settings, targetParams: undefined, targetMacs: undefined }),
      ...{ teacher, match: { ...givenMatchSettings(settings), ...batchNormOf(settings) } },
      classes: settings.classes,
      force: settings.force,
      maxMemory: settings.maxMemory,
      signal,
      onProgress: (done, total, detail) => progress.update({ phase: 'building', done, total, detail }),
    });
    for (const warning of manifest.warnings) context.warn(warning);
    return { document: manifest, text: (terminal) => summary(manifest, folder, terminal) };
  },
});

/** There are no pictures to count: `auto` is the default of the library. */
function batchNormOf({ batchNorm }: Context['settings']): Partial<MatchSettings> {
  return batchNorm === undefined || batchNorm === 'auto' ? {} : { batchNorm };
}

const usedByWriteBack: ReadonlySet<string> = new Set([
  ...['output', 'writeBack', 'force', 'maxMemory'],
  ...['freeze', 'trainAlso', 'tie', 'imageSize'],
]);

async function runWriteBack(trained: string, context: Context): Promise<CommandResult> {
  const { settings, configPath, given: names, signal } = context;
  const { model } = context.arguments;
  const { output, force, maxMemory, imageSize, freeze, trainAlso, tie } = settings;
  const options: WriteBackOptions = {
    model,
    output,
    settings: {
      ...given({ imageSize, tie }),
      ...(freeze.length > 0 ? { freeze } : {}),
      ...(trainAlso.length > 0 ? { trainAlso } : {}),
    },
    force,
    maxMemory,
    signal,
  };
  for (const name of names) {
    if (!usedByWriteBack.has(name)) context.note(`${flagOf(name)} has no effect with --write-back`);
  }
  checkCommandPaths({ config: configPath }, writeBackPaths(trained, options));
  const report = await writeBack(trained, options);
  for (const warning of report.warnings) context.warn(warning);
  const document: WriteBackReport = { ...report, command: context.commandLine };
  return { document, text: (terminal) => writtenBack(document, terminal) };
}

function writtenBack(report: WriteBackReport, terminal: Terminal): string {
  const counted = ({ tensors, elements }: WrittenTensors): string =>
    `${formatWhole(elements)} in ${plural(tensors, 'tensor')}`;
  const facts: readonly (readonly [string, string])[] = [
    ['trained', printable(report.trained.path)],
    ['parameters', counted(report.parameters)],
    ['statistics', counted(report.statistics)],
    ...(report.ranks === undefined
      ? []
      : [
          [
            'ranks',
            report.ranks
              .map(({ rank, inOnePiece }) => (inOnePiece === true ? `${rank} (in one piece)` : rank))
              .join(' '),
          ] as const,
        ]),
    ['written', writtenText(report.output)],
  ];
  return [paint(terminal, 'bold', printable(report.model.path)), '', ...renderFacts(facts, terminal), ''].join('\n');
}

function foundText({ layers, tolerance, coefficientSteps }: ArtifactsAdaptation): string {
  const ranks = layers.map(({ startRank, maxRank }) => (startRank === maxRank ? maxRank : `${startRank}–${maxRank}`));
  return `${ranks.join(' ')} to begin with, tolerance ${tolerance}, bases change after ${plural(coefficientSteps, 'update')}`;
}

function summary(manifest: ArtifactsManifest, folder: string, terminal: Terminal): string {
  const { parameters, lengths, imageShape, classes, batch, settings, preparation, teacher, matching, adaptation } =
    manifest;
  const pairs = new Set(parameters.flatMap(({ pair }) => pair ?? []));
  const decayed = parameters.filter(({ decay }) => decay).length;
  const facts: readonly (readonly [string, string])[] = [
    ['parameters', `${formatWhole(lengths.parameters)} in ${plural(parameters.length, 'tensor')}, ${decayed} decayed`],
    ...(adaptation === undefined
      ? [['pairs', String(pairs.size)] as const]
      : [['ranks', foundText(adaptation)] as const]),
    ['statistics', formatWhole(lengths.statistics)],
    ...(teacher === undefined ? [] : [['teacher', printable(teacher.file)] as const]),
    ...(matching === undefined ? [] : [['matched', matchedText(matching)] as const]),
    [
      'images',
      `[${[batch ?? 'any number', ...imageShape].join(', ')}]${classes === null ? '' : `, ${classes} classes`}`,
    ],
    ...(preparation === null ? [] : [['as inputs', preparationText(preparation)] as const]),
    ['optimizer', `${settings.optimizer}, ${formatWhole(lengths.state)} elements of state`],
    ['written', `${printable(folder)}: ${manifest.gradient.file}, ${manifest.update.file}, ${manifest.eval.file} …`],
  ];
  return [paint(terminal, 'bold', printable(manifest.model.file)), '', ...renderFacts(facts, terminal), ''].join('\n');
}
