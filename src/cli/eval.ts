import { modelReads } from '../graph/model-paths.js';
import { renderEvalTable } from '../report/eval-table.js';
import { evalHtml } from '../report/html/eval.js';
import { preparationText } from '../report/preparation-text.js';
import { type EvalOptions, evaluateModel } from '../evaluate/eval.js';
import { matchedModel, runMatch } from './agreement.js';
import { type CommandContext, defineCommand } from './command.js';
import { givenImageSettings, givenInputs, imageOptions, inputOption } from './image-options.js';
import { checkCommandPaths, writeReport } from './paths.js';
import { given } from './training-options.js';
import { decodeOptions, memoryOption, threadsOption, timeoutOption } from './running-options.js';

const images = 'Images';
const running = 'Running';

export const command = defineCommand({
  name: 'eval',
  summary: 'measure the accuracy of a model on labelled images, alone or against another',
  arguments: {
    model: { description: 'ONNX classifier, run as it is: of any opset, quantized too; with --match any vision model' },
  },
  options: {
    data: {
      type: 'string',
      required: true,
      placeholder: 'path',
      description: 'labelled images: class folders, ILSVRC tars, WebDataset shards, parquet, CIFAR or MNIST files',
    },
    split: {
      type: 'string',
      placeholder: 'name',
      description: 'part of the data set, such as val or test (default: val where there are parts)',
    },
    classes: {
      type: 'string',
      placeholder: 'file',
      description: "class list in the order of the model's outputs (text or JSON)",
    },
    vs: { type: 'string', placeholder: 'path', description: 'a second model, compared image by image' },
    match: {
      type: 'boolean',
      default: false,
      description: 'how much the model agrees with that of --vs, of whatever outputs: images need no labels',
    },
    report: { type: 'string', placeholder: 'file.html', description: 'write an HTML report' },
    force: { type: 'boolean', default: false, description: 'replace an existing report' },
    ...imageOptions(images),
    ...inputOption(images),
    limit: {
      type: 'integer',
      minimum: 1,
      group: images,
      placeholder: 'n',
      description: 'so many images only, drawn at random (default: all)',
    },
    seed: { type: 'integer', minimum: 0, group: images, description: 'seed of the draw of --limit (default: 0)' },
    batchSize: { type: 'integer', minimum: 1, group: running, description: 'images of one run (default: 32)' },
    device: {
      type: 'string',
      choices: ['cpu', 'cuda', 'webgpu'],
      group: running,
      description: 'where the model runs (default: cpu)',
    },
    threads: threadsOption(running),
    maxMemory: memoryOption(running),
    verifyTimeout: timeoutOption(running),
    ...decodeOptions(images, running),
  },
  usual: ['data', 'vs', 'match', 'classes', 'split', 'normalization', 'imageSize', 'limit', 'device', 'report'],
  examples: [
    {
      command: 'lowrank eval model.onnx --data photos',
      description: 'photos/val holds a folder per class; else --split says where',
    },
    {
      command: 'lowrank eval resnet50.onnx --data imagenet/val --classes LOC_synset_mapping.txt',
      description: 'a model of 1000 classes, on images of all or of some of them',
    },
    {
      command: 'lowrank eval model.onnx --vs model.lowrank.onnx --data photos --report eval.html',
      description: 'what the conversion cost, with an interval and a test; confusion as a picture',
    },
    {
      command: 'lowrank eval small.onnx --vs original.onnx --match --data photos',
      description: 'images without labels: classes, relative errors of outputs, mean IoU of maps',
    },
    {
      command: 'lowrank eval model.onnx --data photos --normalization unit --limit 500 --json',
      description: 'pixels from 0 to 1; 500 images',
    },
  ],
  async run(context) {
    const { settings, signal, progress } = context;
    const { data, classes, vs, report: page } = settings;
    const original = matchedModel(settings);
    checkCommandPaths(
      { config: context.configPath, data, classes, report: page },
      [...modelReads(context.arguments.model), ...(vs === undefined ? [] : modelReads(vs, 'the second model', '--vs'))],
      settings.force,
    );
    const preparing = (detail: string): void => progress.update({ phase: 'preparing', done: 0, total: 1, detail });
    preparing(context.arguments.model);
    const chosen = given({
      split: settings.split,
      batchSize: settings.batchSize,
      limit: settings.limit,
      seed: settings.seed,
      maxBad: settings.maxBad,
      device: settings.device,
      threads: settings.threads,
      workers: settings.workers,
      ...givenImageSettings(settings),
      ...givenInputs(settings.input),
    });
    if (original !== undefined) return runMatch(context, original, chosen);
    const report = await evaluateModel({
      model: context.arguments.model,
      data: settings.data,
      classes: settings.classes,
      versus: settings.vs,
      settings: chosen,
      ...given({ maxMemory: settings.maxMemory, verifyTimeout: settings.verifyTimeout }),
      command: context.commandLine,
      signal,
      onPrepared: prepared(context, preparing),
      onWarning: context.warn,
      onTrial: ({ model, done, total }) =>
        progress.update({ phase: 'trying normalizations', done, total, detail: model }),
      onProgress: ({ model, done, total }) => progress.update({ phase: 'evaluating', done, total, detail: model }),
    });
    if (page !== undefined) {
      await writeReport(page, () => evalHtml(report));
      context.note(`report: ${page}`);
    }
    return { document: report, text: (terminal) => renderEvalTable(report, terminal) };
  },
});

/** Says how images become inputs, of a second model where it is otherwise, and goes on preparing. */
function prepared(
  { note }: Pick<CommandContext<unknown, unknown>, 'note'>,
  preparing: (path: string) => void,
): NonNullable<EvalOptions['onPrepared']> {
  let before: string | undefined;
  return (path, preparation) => {
    const text = preparationText(preparation);
    if (text !== before) note(before === undefined ? `images: ${text}` : `images of ${path}: ${text}`);
    before = text;
    preparing(path);
  };
}
