import { LowrankError } from '../errors.js';
import { initNames, inits as registry } from '../factorize/inits/index.js';
import type { InitName } from '../factorize/types.js';
import { compare } from '../compare/compare.js';
import { imageReads } from '../data/paths.js';
import { modelReads } from '../graph/model-paths.js';
import { renderCompareTable } from '../report/compare-table.js';
import { compareHtml } from '../report/html/compare-html.js';
import { inPercent } from '../report/progress.js';
import { calibration } from '../images/calibrate.js';
import { defineCommand } from './command.js';
import { command as convertCommand } from './convert.js';
import { command as evalCommand } from './eval.js';
import { givenImageSettings, givenInputs, imageOptions } from './image-options.js';
import { parseInputShapes } from './input-shapes.js';
import { type OptionOwners, refuseOrphans } from './option-owners.js';
import { closest } from './options.js';
import { checkCommandPaths, writeReport } from './paths.js';
import { readRanks } from './rank-file.js';
import { given } from './training-options.js';

const phases = {
  read: 'reading',
  plan: 'choosing ranks',
  calibrate: 'looking at images',
  factorize: 'fitting',
  evaluate: 'evaluating',
  recover: 'recovering',
};

const accuracy = 'Accuracy';
const of = convertCommand.options;
const { split, classes, limit, maxBad, batchSize, workers } = evalCommand.options;

export const command = defineCommand({
  name: 'compare',
  summary: 'fit the model with every initialization at equal ranks, and show what each loses',
  arguments: { model: { description: 'ONNX model, which stays as it is' } },
  options: {
    inits: {
      type: 'list',
      placeholder: 'a,b,c',
      description: `initializations, the first being what the others are compared with: ${initNames.join(', ')} (default: all but what takes minutes)`,
    },
    report: { type: 'string', placeholder: 'path', description: 'also write an HTML report with charts' },
    force: { type: 'boolean', default: false, description: 'replace an existing report' },
    rankScale: of.rankScale,
    ranks: of.ranks,
    energy: of.energy,
    paramsBudget: of.paramsBudget,
    macsBudget: of.macsBudget,
    latencyBudget: of.latencyBudget,
    vbmf: of.vbmf,
    stableRank: of.stableRank,
    rankBase: of.rankBase,
    rankFloor: of.rankFloor,
    rankMultiple: of.rankMultiple,
    minRank: of.minRank,
    allowBigger: of.allowBigger,
    scheme: {
      ...of.scheme,
      choices: of.scheme.choices.filter((name) => name !== 'tucker'),
      description: 'spatial: 1×kw then kh×1; channel: kh×kw then 1×1; auto: what lfai loses less with, for all',
    },
    fitSteps: of.fitSteps,
    fitBatch: of.fitBatch,
    fitLr: of.fitLr,
    fitSchedule: of.fitSchedule,
    reinit: { ...of.reinit, description: 'compare on fresh truncated-normal weights, as training from scratch starts' },
    seed: of.seed,
    include: of.include,
    exclude: of.exclude,
    factorizePairs: of.factorizePairs,
    keepFirst: of.keepFirst,
    keepLast: of.keepLast,
    data: {
      type: 'string',
      placeholder: 'path',
      group: of.calibrate.group,
      formerly: ['calibrate'],
      description:
        'images without labels, a folder or any data set: the error of every init on what the layers see, and the inits that fit to it (whitened, lfai-data)',
    },
    calibrateImages: of.calibrateImages,
    biasCorrection: of.biasCorrection,
    val: {
      type: 'string',
      placeholder: 'path',
      group: accuracy,
      description: 'labelled images: top-1 right after the conversion with each initialization, without fine-tuning',
    },
    recover: {
      ...of.recover,
      description: 'train each converted model towards the original on these images too, without labels',
    },
    recoverSteps: of.recoverSteps,
    split: { ...split, group: accuracy },
    classes: { ...classes, group: accuracy },
    limit: { ...limit, group: accuracy },
    ...imageOptions('Images (of --data, --val and --recover)'),
    maxBad: { ...maxBad, group: accuracy },
    batchSize: { ...batchSize, group: accuracy },
    input: of.input,
    inputShape: of.inputShape,
    engine: of.engine,
    device: of.device,
    threads: of.threads,
    maxMemory: of.maxMemory,
    verifyTimeout: of.verifyTimeout,
    workers,
  },
  usual: ['inits', 'macsBudget', 'rankScale', 'data', 'val', 'recover', 'normalization', 'report', 'force'],
  examples: [
    {
      command: 'lowrank compare model.onnx',
      description: 'what each initialization loses in every layer, at a quarter of the rank',
    },
    {
      command: 'lowrank compare model.onnx --rank-scale 0.1 --inits spectral,lfai --report compare.html',
      description: 'two of them, with charts',
    },
    {
      command: 'lowrank compare model.onnx --macs-budget 0.5 --val photos --normalization imagenet',
      description: 'also the accuracy of each on photos/val, at half of the multiply-accumulates',
    },
    {
      command: 'lowrank compare model.onnx --data photos/train --val photos',
      description: 'also the inits that fit layers to what they see on images, and the error of all on them',
    },
    {
      command: 'lowrank compare model.onnx --recover photos --recover-steps 200',
      description: 'what each keeps of the original, and what it has behind a training towards it',
    },
  ],
  async run(context) {
    const { settings, signal, progress } = context;
    const {
      inits: wanted,
      report,
      force,
      ranks,
      input,
      inputShape,
      data: seen,
      calibrateImages,
      recover,
      recoverSteps,
      val,
      classes: classFile,
      split: part,
      limit: most,
      imageSize,
      resize,
      stretch,
      interpolation,
      normalization,
      mean,
      std,
      maxBad: mostBad,
      batchSize: batch,
      workers: decoders,
      ...options
    } = settings;
    refuseOrphans(settings, ownersOf);
    // As a conversion that is recovered fits to these images.
    const data = seen ?? recover;
    const paths = { config: context.configPath, ranks, classes: classFile, val, data: seen, report };
    const others = recover === undefined ? [] : imageReads(recover, 'the images to recover on', '--recover');
    checkCommandPaths(paths, [...modelReads(context.arguments.model), ...others], force);
    const preparation = {
      ...givenImageSettings({
        ...{ imageSize, resize, stretch, interpolation },
        ...{ normalization, mean, std },
      }),
      ...givenInputs(input),
    };
    const document = await compare(context.arguments.model, {
      ...given(options),
      ...(ranks === undefined ? {} : { ranks: readRanks(ranks) }),
      ...given({ inits: initsOf(wanted) }),
      ...givenInputs(input),
      inputShapes: parseInputShapes(inputShape),
      calibrate:
        data === undefined
          ? undefined
          : calibration(data, {
              ...preparation,
              ...given({ images: calibrateImages, seed: settings.seed, maxBad: mostBad, workers: decoders }),
            }),
      validation:
        val === undefined
          ? undefined
          : {
              data: val,
              classes: classFile,
              settings: given({
                split: part,
                batchSize: batch,
                limit: most,
                maxBad: mostBad,
                workers: decoders,
                ...preparation,
              }),
            },
      recover:
        recover === undefined
          ? undefined
          : {
              data: recover,
              settings: {
                ...preparation,
                ...given({ steps: recoverSteps, seed: settings.seed, threads: settings.threads }),
                ...given({ maxBad: mostBad, workers: decoders }),
              },
            },
      command: context.commandLine,
      signal,
      onProgress: ({ phase, done, total, detail }) => {
        const update = { phase: phases[phase], done, total, detail };
        progress.update(phase === 'factorize' ? inPercent(update) : update);
      },
    });
    if (report !== undefined) {
      await writeReport(report, () => compareHtml(document));
      context.note(`report: ${report}`);
    }
    return { document, text: (terminal) => renderCompareTable(document, terminal) };
  },
});

/** Which of the options that say what images there are the others belong to. */
const ownersOf: OptionOwners = {
  calibrateImages: ['data', 'recover'],
  recoverSteps: ['recover'],
  split: ['val'],
  classes: ['val'],
  limit: ['val'],
  batchSize: ['val'],
  maxBad: ['data', 'val', 'recover'],
  ...Object.fromEntries(Object.keys(imageOptions('')).map((name) => [name, ['data', 'val', 'recover']])),
};

/** `--inits a,b --inits c`. Throws USAGE for names that are none. */
function initsOf(texts: readonly string[]): readonly InitName[] | undefined {
  if (texts.length === 0) return undefined;
  const names = texts.flatMap((text) => text.split(',')).map((name) => name.trim());
  return names.map((name) => {
    if (Object.hasOwn(registry, name)) return name as InitName;
    const close = closest(name, initNames);
    throw new LowrankError('USAGE', `there is no initialization '${name}'`, {
      place: "option '--inits'",
      remedy: `${close === undefined ? '' : `did you mean '${close}'? `}choose from ${initNames.join(', ')}`,
    });
  });
}
