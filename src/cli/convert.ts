import type { FittedSpectrum } from '../factorize/fit.js';
import { type ConvertCall, convertPaths } from '../convert/call.js';
import { convert } from '../convert/convert.js';
import { tradeOffCurve } from '../convert/curve.js';
import { renderConvertTable } from '../report/convert-table.js';
import { renderCurve } from '../report/curve-table.js';
import type { ConvertReport } from '../contracts/convert.js';
import { inPercent, type Progress } from '../report/progress.js';
import { createTrainProgress } from '../report/train-progress.js';
import type { RecoverSettings } from '../recover/settings.js';
import { imageReads } from '../data/paths.js';
import { LowrankError } from '../errors.js';
import { convertHtml } from '../report/html/convert-html.js';
import type { ConvertModelCall } from '../convert/usual-calls.js';
import type { RecalibrationSettings } from '../training/recalibrate.js';
import { drawnSettings, namedCalibration } from './calibration.js';
import { defineCommand } from './command.js';
import { convertOptions } from './convert-options.js';
import { accuracyInForce, checkAccuracyOptions } from './accuracy-options.js';
import { givenImageSettings, givenInputs, imageOptions, imageSettingsText } from './image-options.js';
import { parseInputShapes } from './input-shapes.js';
import { checkCommandPaths, writeReport } from './paths.js';
import { type OptionOwners, orphanNotes } from './option-owners.js';
import { readRanks } from './rank-file.js';
import { given } from './training-options.js';

const phases = {
  read: 'reading',
  plan: 'choosing ranks',
  calibrate: 'looking at images',
  search: 'measuring whole models',
  factorize: 'factorizing',
  approximate: 'fitting the whole model',
  recalibrate: 'recalibrating',
  write: 'writing',
  verify: 'verifying',
};

export const command = defineCommand({
  name: 'convert',
  summary: 'replace convolutions and dense layers by low-rank pairs, verified',
  arguments: { model: { description: 'ONNX model to convert' } },
  options: convertOptions,
  usual: [
    'output',
    'calibrate',
    'recover',
    'macsBudget',
    'paramsBudget',
    'latencyBudget',
    'keep',
    'accuracyBudget',
    'val',
    'curve',
    'report',
    'force',
  ],
  examples: [
    {
      command: 'lowrank convert model.onnx',
      description: 'half of the multiply-accumulates, without any data; writes model.lowrank.onnx',
    },
    {
      command: 'lowrank convert model.onnx --calibrate photos/train',
      description: 'the best without training: fitted to what the layers see on 256 of these images, without labels',
    },
    {
      command: 'lowrank convert model.onnx --macs-budget 0.4 --recover photos',
      description: 'the same, and a training towards the original: minutes, no labels, never worse than without it',
    },
    {
      command: 'lowrank convert model.onnx --keep 0.97 --calibrate photos/train',
      description: 'the smallest model that answers as the original on 97 % of the images kept out',
    },
    {
      command: "lowrank convert model.onnx --latency-budget 0.7 --exclude '*downsample*'",
      description: '70 % of the measured time, shortcuts untouched',
    },
    {
      command: 'lowrank convert model.onnx --accuracy-budget 1 --val photos/val',
      description: 'the smallest model found that loses at most one point of top-1 on these images',
    },
    {
      command: 'lowrank convert model.onnx --recalibrate photos/train --normalization imagenet',
      description: 'the statistics of BatchNormalization follow the new layers; no labels, no training',
    },
    {
      command: 'lowrank convert resnet50.onnx --reinit --rank-scale 0.1 --scheme spatial --seed 1',
      description: 'fresh low-rank weights, the start of training from scratch',
    },
  ],
  async run(context) {
    const { settings } = context;
    const { report, ranks, input, inputShape, latency, threads, maxMemory, verifyTimeout, output, ...others } =
      settings;
    const { calibrateImages, recalibrate, recalibrateImages, batchSize, recover, recoverSteps, ...rest } = others;
    const { calibrate: shown, imageSize, resize, stretch, interpolation, normalization, mean, std, ...more } = rest;
    const calibrate = shown ?? recover;
    const { val, split, classes, valImages, maxBad, minimize, evaluations, cache, ...options } = more;
    const { curve, ...asked } = options;
    const preparation = {
      ...givenImageSettings({
        ...{ imageSize, resize, stretch, interpolation },
        ...{ normalization, mean, std },
      }),
      ...givenInputs(input),
    };
    checkAccuracyOptions(settings);
    // Loaded where they are asked for: they bring the image decoder.
    const searching = val === undefined ? undefined : await import('../convert/search-by-accuracy.js');
    const drawn = { ...preparation, ...given({ images: calibrateImages }) };
    const recalibrating = recalibrate === undefined ? undefined : await import('../training/recalibrate.js');
    const spectra: Record<string, FittedSpectrum> = {};
    const onSpectrum = (layer: string, spectrum: FittedSpectrum): void => {
      spectra[layer] = spectrum;
    };
    const askedCall: ConvertModelCall = {
      ...defined(asked),
      ...defined({ output, threads, maxMemory, verifyTimeout }),
      ...(ranks === undefined ? {} : { ranks: readRanks(ranks) }),
      searchRanks: searching?.accuracySearch(val!, {
        ...given({ minimize, evaluations, cache, classes }),
        evaluation: { ...given({ split, limit: valImages, maxBad }), ...preparation },
      }),
      calibrate:
        calibrate === undefined || calibrate === 'none'
          ? calibrate
          : await namedCalibration(calibrate, { ...drawn, seed: settings.seed }),
      recalibrate: recalibrating?.recalibration(recalibrate!, {
        ...preparation,
        ...given({ images: recalibrateImages, batchSize }),
      }),
      ...givenInputs(input),
      inputShapes: parseInputShapes(inputShape),
      measureLatency: latency,
      signal: context.signal,
      onProgress: ({ phase, done, total, detail }) => {
        const update = { phase: phases[phase], done, total, detail };
        context.progress.update(phase === 'factorize' ? inPercent(update) : update);
      },
      onNote: context.note,
      ...(report === undefined ? {} : { onSpectrum }),
    };
    const { fittedTo } = await import('../convert/usual-calls.js');
    const call = fittedTo(askedCall, drawnSettings(drawn));
    if (recover !== undefined && curve) {
      throw new LowrankError('USAGE', '--curve writes no model that could be recovered', {
        place: '--recover',
        remedy: 'leave one of the two out',
      });
    }
    const isCalibrated = { ...settings, calibrate: call.calibrate?.kind };
    for (const note of orphanNotes(isCalibrated, imageOptionOwners)) context.note(note);
    const paths = [
      ...convertPaths(context.arguments.model, call),
      ...(recover === undefined ? [] : imageReads(recover, 'the images to recover on', '--recover')),
    ];
    checkCommandPaths({ config: context.configPath, ranks, report }, paths, settings.force);
    if (curve) {
      const document = { ...(await tradeOffCurve(context.arguments.model, call)), command: context.commandLine };
      return { document, text: (terminal) => renderCurve(document, terminal) };
    }
    const done = await converted(context, call, recover, {
      ...preparation,
      ...given({ steps: recoverSteps, threads, seed: settings.seed }),
    });
    const document = {
      ...done,
      command: context.commandLine,
      settings: inForce(context.resolvedSettings, {
        ...done.settings,
        ...accuracyInForce(done),
        ...calibrationInForce(done, calibrateImages),
        ...recalibrationInForce(done, recalibrating?.defaultRecalibrationSettings),
        ...imagesInForce(done),
      }),
    };
    if (report !== undefined) {
      const { commandLine } = context;
      await writeReport(report, () => convertHtml(document, { spectra, commandLine }), document.output.path);
      context.note(`report: ${report}`);
    }
    return { document, text: (terminal) => renderConvertTable(document, terminal) };
  },
});

/** The conversion and, where it was asked for, the recovery behind it. */
async function converted(
  context: { readonly arguments: { readonly model: string }; readonly progress: Progress; readonly isQuiet: boolean },
  call: ConvertCall,
  recover: string | undefined,
  settings: Partial<RecoverSettings>,
): Promise<ConvertReport> {
  const { model } = context.arguments;
  if (recover === undefined) return convert(model, call);
  const { convertAndRecover } = await import('../convert/convert-and-recover.js');
  const progress = createTrainProgress({
    ...{ stream: process.stderr, enabled: !context.isQuiet },
    preparing: { progress: context.progress, detail: model },
  });
  return convertAndRecover(model, call, { data: recover, settings, progress, maxMemory: call.maxMemory });
}

/** The command's options by their names, so that they can be a configuration file; defaults that `convert` chose included. */
function inForce(
  given: Readonly<Record<string, unknown>>,
  used: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(given).map(([name, value]) => [name, value ?? used[name] ?? null]));
}

/** Options that say how images are used belong to those that say which. */
const imageOptionOwners: OptionOwners = {
  calibrateImages: ['calibrate'],
  recalibrateImages: ['recalibrate'],
  batchSize: ['recalibrate'],
  recoverSteps: ['recover'],
  ...Object.fromEntries(
    Object.keys(imageOptions('')).map((name) => [name, ['calibrate', 'recover', 'recalibrate', 'val']]),
  ),
};

function calibrationInForce(
  { calibration: done }: ConvertReport,
  calibrateImages: number | undefined,
): Readonly<Record<string, unknown>> {
  if (done === undefined) return { calibrate: 'none' };
  const { data, images } = done;
  return { calibrate: data, calibrateImages: calibrateImages ?? images };
}

/** How images became inputs, whoever asked for them. */
function imagesInForce({
  calibration,
  recalibration,
  accuracyBudget,
}: ConvertReport): Readonly<Record<string, unknown>> {
  const used = calibration?.preparation ?? recalibration?.preparation ?? accuracyBudget?.preparation;
  return used === undefined ? {} : imageSettingsText(used);
}

function recalibrationInForce(
  { recalibration: done }: ConvertReport,
  defaults: RecalibrationSettings | undefined,
): Readonly<Record<string, unknown>> {
  if (done === undefined || defaults === undefined) return {};
  return { recalibrateImages: defaults.images, batchSize: done.batchSize };
}

type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> };

/** Without the keys whose value is undefined. */
function defined<T extends object>(values: T): Partial<Defined<T>> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<Defined<T>>;
}
