import { LowrankError } from '../errors.js';
import { renderLrFindTable } from '../report/lr-find-table.js';
import { trainHtml } from '../report/html/train.js';
import { createTrainProgress } from '../report/train-progress.js';
import { renderTrainExplain } from '../report/train-explain-table.js';
import { renderTrainTable } from '../report/train-table.js';
import { explainTraining } from '../training/explain.js';
import { trainPaths } from '../training/loop.js';
import { findLearningRate } from '../training/lr-find.js';
import type { TrainOptions } from '../training/options.js';
import { presetNotes } from '../training/presets.js';
import { savedCall } from '../training/newest-checkpoint.js';
import { withSaved } from '../training/resume.js';
import { train } from '../warmup/train.js';
import { defineCommand } from './command.js';
import { checkCommandPaths, writeReport } from './paths.js';
import { commandLineOf } from './options.js';
import { commandOptions, presetFor, runRecovery } from './recovery.js';
import { thenKeys } from './then-options.js';
import { chosenSettings, givenSettings, settingsFor, trainOptions } from './train-settings.js';

export const command = defineCommand({
  name: 'train',
  summary: 'train or fine-tune a model, on labelled images or towards its original on any',
  arguments: { model: { description: 'float32 ONNX classifier; with --teacher any model' } },
  options: commandOptions,
  usual: [
    'data',
    'val',
    'output',
    'teacher',
    'preset',
    'epochs',
    'steps',
    'lr',
    'batchSize',
    'newHead',
    'resume',
    'explain',
    'report',
  ],
  keys: thenKeys,
  examples: [
    {
      command: 'lowrank train model.lowrank.onnx --teacher model.onnx --data photos',
      description:
        'a converted model is made to compute what the original does: no labels, and never worse than it was',
    },
    {
      command: 'lowrank train model.lowrank.onnx --data photos --preset fine-tune',
      description: 'the same on labels: photos/train and photos/val hold a folder per class',
    },
    {
      command: 'lowrank train resnet50.onnx --data imagenet/train --val imagenet/val --preset imagenet-resnet',
      description: 'training from scratch',
    },
    {
      command: 'lowrank train resnet18.onnx --data cifar10 --epochs 120 --warmup-full 30 --then "rank-scale 0.25"',
      description: '30 epochs in full rank, then pairs of a quarter of the rank',
    },
    {
      command: 'lowrank train model.onnx --data flowers --new-head --epochs 5 --report report.html',
      description: 'other classes than the model was made for',
    },
    {
      command: 'lowrank train model.onnx --resume',
      description: 'goes on where a training was interrupted, with the same images and settings',
    },
  ],
  async run(context) {
    const { settings: all, signal } = context;
    const { model } = context.arguments;
    const preset = presetFor(all, context.given);
    if (all.teacher !== undefined) return runRecovery(context, all.teacher);
    const settings = { ...all, preset };
    const output = settings.output ?? model.replace(/(\.onnx)?$/, '.trained.onnx');
    if (settings.lrFind && settings.resume) {
      throw new LowrankError('USAGE', '--lr-find and --resume together', {
        remedy: "give a checkpoint's model.onnx as the model instead of --resume",
      });
    }
    if (settings.lrFind && settings.explain) {
      throw new LowrankError('USAGE', '--lr-find and --explain together', { remedy: 'give one of them' });
    }
    const progress = createTrainProgress({
      ...{ stream: process.stderr, enabled: !context.isQuiet },
      preparing: { progress: context.progress, detail: model },
    });
    if (!settings.resume) for (const line of presetNotes(settings.preset, chosenSettings(settings))) context.warn(line);
    const given: TrainOptions = {
      model,
      output,
      force: settings.force,
      data: settings.data,
      val: settings.val,
      classes: settings.classes,
      resume: settings.resume,
      strict: settings.strict,
      tensorboard: settings.tensorboard,
      report: settings.report,
      preset: settings.preset,
      maxMemory: settings.maxMemory,
      settings: settings.resume ? givenSettings(settings, context.given) : settingsFor(settings),
      command: context.commandLine,
      resumeCommand: commandLineOf(context.programName, [model], trainOptions, {
        output: settings.output,
        resume: true,
      }),
      signal,
      progress,
    };
    const call = settings.resume ? withSaved(given, savedCall(output)) : given;
    if (settings.explain) {
      const explained = await explainTraining(call);
      return { document: explained, text: (terminal) => renderTrainExplain(explained, terminal) };
    }
    if (settings.lrFind) {
      const found = await findLearningRate(call);
      return { document: found, text: (terminal) => renderLrFindTable(found, terminal) };
    }
    const paths = { config: context.configPath, report: call.report };
    checkCommandPaths(paths, trainPaths(call), settings.force || settings.resume);
    const report = await train(call);
    if (call.report !== undefined) {
      await writeReport(call.report, () => trainHtml(report), report.output?.path);
      context.note(`report: ${call.report}`);
    }
    return {
      document: report,
      text: (terminal) => renderTrainTable(report, terminal),
    };
  },
});
