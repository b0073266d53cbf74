import { inWords } from '../errors.js';
import { kernelsOf } from '../lower/cuda/kernels.js';
import { cpuNodes, describeCpuNodes } from '../lower/cuda/placement.js';
import { inferShapes } from '../ops/infer.js';
import type { Preparation } from '../contracts/images.js';
import { preparationText } from '../report/preparation-text.js';
import { formatRate } from '../report/format.js';
import type { Choice, TrainExplainReport } from '../contracts/train-explain.js';
import { tool } from '../version.js';
import { explainedRanks, rankChoices } from './explain-ranks.js';
import { fewUpdates } from './few-updates.js';
import { growthInterval, initialLossScale } from '../step/loss-scale.js';
import { resolveMicroBatch } from './micro-batch.js';
import { checkTrainSettings, defaultTrainSettings, type TrainOptions, type TrainSettings } from './options.js';
import { completeCall } from './resume.js';
import { openTrainingSession, type TrainingSession } from './session.js';
import { preparationOf, settleImages } from './settle-images.js';
import { stepCost } from '../step/step-cost.js';
import type { TargetName } from '../lower/target.js';

type Facts = TrainExplainReport['gradient'];
type Explanation = (
  settings: TrainSettings,
  run: TrainingSession,
  facts: Facts,
) => Omit<Choice, 'isDefault'> | undefined;

const forms: Readonly<Record<TargetName, string>> = {
  cpu: 'one layout with the images innermost, where a convolution is one product; measured on CPU (README)',
  portable: "operators of ai.onnx in the model's own layout, which every CPU runs in every precision",
  cuda: "operators of ai.onnx in the model's own layout; BatchNormalization by means, whose training form CUDA refuses",
};

/** Each says one choice; those that do not apply say nothing. `setting`: what it is compared with its default by. */
const explanations: readonly { readonly setting: keyof TrainSettings | null; readonly explain: Explanation }[] = [
  {
    setting: 'device',
    explain: ({ device, allowCpuNodes }) => ({
      name: 'device',
      value: device,
      why:
        device === 'cpu'
          ? 'what every machine has; --device cuda trains on a GPU'
          : `every node runs there: one on the CPU ${allowCpuNodes ? 'is told' : 'ends the training, with its name'}`,
    }),
  },
  {
    setting: 'allowCpuNodes',
    explain: (_, __, { cpuNodes: count }) =>
      count === undefined
        ? undefined
        : {
            name: 'nodes on the CPU',
            value: count === 0 ? 'none' : String(count),
            why: `of the gradient graph, by the kernels that onnxruntime ${kernelsOf} has on CUDA${count === 0 ? '' : ': see the warnings'}`,
          },
  },
  {
    setting: 'target',
    explain: ({ device, target }) => {
      const value = device === 'cpu' ? target : 'cuda';
      return { name: 'graph', value, why: forms[value] };
    },
  },
  {
    setting: 'lrTrials',
    explain: ({ lr, lrTrials }) =>
      lrTrials
        ? {
            name: 'learning rate',
            value: `tried up to ${formatRate(lr)}`,
            why: 'short trainings before the first epoch say which does most for this model; --lr sets one',
          }
        : undefined,
  },
  {
    setting: 'precision',
    explain: ({ precision }, _, { macs, halfMacs, casts }) => ({
      name: 'precision',
      value: precision,
      why:
        precision === 'float32'
          ? 'the default: half precision was not measured on a GPU yet'
          : `${((100 * halfMacs) / macs).toFixed(1)} % of the multiply-accumulates, between ${casts} casts; weights, statistics and sums stay float32`,
    }),
  },
  {
    setting: null,
    explain: ({ precision }) =>
      precision !== 'float16'
        ? undefined
        : {
            name: 'loss scale',
            value: String(initialLossScale.scale),
            why: `keeps small gradients above float16's smallest number; halved where one is not finite, doubled after ${growthInterval} good updates`,
          },
  },
  {
    setting: 'tf32',
    explain: ({ device, tf32, precision }) =>
      device !== 'cuda'
        ? undefined
        : {
            name: 'TF32',
            value: tf32 ? 'on' : 'off',
            why: `onnxruntime's default is on: float32 factors of ${precision === 'float32' ? 'all' : 'the remaining'} products are rounded to 11 digits; not measured here`,
          },
  },
  {
    setting: 'nhwc',
    explain: ({ device, nhwc }) =>
      device !== 'cuda'
        ? undefined
        : {
            name: 'layout on CUDA',
            value: nhwc ? 'NHWC' : 'NCHW',
            why: "onnxruntime's default is NCHW; --nhwc (prefer_nhwc) moves the channels last around convolutions, and takes no ConvTranspose of a computed weight: gradients of strided convolutions are then convolutions with zeros between the elements; not measured here",
          },
  },
  {
    setting: 'convSearch',
    explain: ({ device, convSearch }) =>
      device !== 'cuda'
        ? undefined
        : {
            name: 'cuDNN search',
            value: convSearch,
            why: "onnxruntime's default, exhaustive, times every algorithm at the first update: a slow start, once; not measured here",
          },
  },
  {
    setting: 'gpuMemory',
    explain: ({ device, gpuMemory }) =>
      device !== 'cuda'
        ? undefined
        : {
            name: 'device memory',
            value: gpuMemory === null ? 'all there is' : `at most ${Math.round(gpuMemory / 2 ** 20)} MiB`,
            why: 'of the arena of each session; one that is too small ends in "out of memory"',
          },
  },
  {
    setting: 'cudaGraphs',
    explain: ({ device, cudaGraphs }) =>
      device !== 'cuda'
        ? undefined
        : {
            name: 'CUDA graphs',
            value: cudaGraphs ? 'on' : 'off',
            why: 'each of the turns that state and inputs are bound in is recorded at its first run and replayed then; not measured here',
          },
  },
  {
    setting: null,
    explain: (_, { isResident }) => ({
      name: 'state',
      value: isResident ? 'on the device' : 'in arrays of this process',
      why: isResident ? 'read back for checkpoints only' : 'bound in place: the CPU needs no copies',
    }),
  },
  {
    setting: null,
    explain: ({ precision }, { readEvery }) => ({
      name: 'losses read',
      value: readEvery === 1 ? 'after every update' : `after every ${readEvery} updates`,
      why:
        precision === 'float16'
          ? 'the next update needs to know whether this one was finite'
          : readEvery === 1
            ? 'waiting costs nothing on the CPU'
            : 'the device does not wait for this process',
    }),
  },
  {
    setting: null,
    explain: () => ({
      name: 'memory pattern',
      value: 'off',
      why: 'half the memory of a step at no cost in time, measured on CPU; gradient and update share one arena',
    }),
  },
  {
    setting: 'threads',
    explain: (_, { threads, conditions }) => ({
      name: 'threads',
      value: String(conditions['threads']),
      why: threads === null ? 'all cores; a training resumes bit for bit with the same number only' : '--threads',
    }),
  },
  {
    setting: 'microBatch',
    explain: ({ microBatch, batchSize }) =>
      microBatch === null
        ? undefined
        : {
            name: 'micro-batch',
            value: microBatch === 'auto' ? 'auto' : `${batchSize} images`,
            why:
              microBatch === 'auto'
                ? 'the largest part of a batch that fits into memory, found by trying before the first update'
                : 'a run takes so many; as many more runs are averaged',
          },
  },
  {
    setting: null,
    explain: (_, { data }) => ({
      name: 'written',
      value: data.val === null ? 'the last epoch' : 'the best epoch',
      why:
        data.val === null
          ? 'there are no validation images to choose by'
          : 'by top-1 on the validation images; the last stays as a checkpoint',
    }),
  },
  {
    setting: 'batchSize',
    explain: ({ batchSize, accumulate, epochs }, { stepsPerEpoch }) => ({
      name: 'update',
      value: `${batchSize * accumulate} images`,
      why: `${batchSize} in a run, ${accumulate} ${accumulate === 1 ? 'run an update' : 'runs averaged'}; ${stepsPerEpoch} updates an epoch, ${stepsPerEpoch * epochs} in all`,
    }),
  },
];

function imagesChoice(preparation: Preparation): Choice {
  const { normalization, size, resize, classes, arrays } = preparation;
  return {
    name: 'images',
    value: arrays === undefined ? `${size.width}x${size.height}` : `[${arrays.dims.join(', ')}]`,
    isDefault: [normalization, size, resize, classes].every((part) => part?.from !== 'option'),
    why: preparationText(preparation),
  };
}

/**
 * What a training with these options would choose, and why: opens model and images, emits the graphs and trains nothing.
 * Throws what `train` throws for models and images that cannot be trained.
 */
export async function explainTraining(options: TrainOptions): Promise<TrainExplainReport> {
  const call = completeCall(options);
  const { settings: wanted } = call;
  checkTrainSettings(wanted);
  const settled = await settleImages(call, wanted);
  const { microBatch } = wanted;
  // What `auto` finds is seen by running steps: a training does that.
  const told = microBatch === 'auto' ? settled.settings : await resolveMicroBatch(call, settled.settings);
  const run = await openTrainingSession(call, told);
  const { settings, adaptation } = run;
  try {
    const { model } = run.gradient;
    const shapes = inferShapes(model);
    const stray = settings.device === 'cuda' ? cpuNodes(model, shapes, settings) : undefined;
    const gradient = { ...stepCost(model, shapes), ...(stray === undefined ? {} : { cpuNodes: stray.length }) };
    const warning = describeCpuNodes(stray ?? [], 'the gradient graph');
    const few = fewUpdates(settings, run.stepsPerEpoch);
    const { command, data } = call;
    const preparation = preparationOf(settled, run);
    return inWords<TrainExplainReport>({
      schema: 'lowrank.train-explain/1',
      tool,
      ...(command === undefined ? {} : { command }),
      model: { path: options.model, sha256: run.model.sha256 },
      settings: { data, ...settings },
      ...(preparation === undefined ? {} : { preparation }),
      choices: [
        ...(preparation === undefined ? [] : [imagesChoice(preparation)]),
        ...explanations.flatMap(({ setting, explain }) => {
          const choice = explain(settings, run, gradient);
          const isDefault = setting === null || settings[setting] === defaultTrainSettings[setting];
          return choice === undefined ? [] : [{ ...choice, isDefault }];
        }),
        ...(adaptation === undefined ? [] : rankChoices(adaptation, settings)),
      ],
      parameters: run.parameters,
      kept: run.kept,
      ...(adaptation === undefined ? {} : { ranks: explainedRanks(adaptation, settings) }),
      gradient,
      warnings: [...run.warnings, ...[warning, few].filter((line) => line !== undefined)],
    });
  } finally {
    await run.close();
  }
}
