import { convolutionSchemes } from '../contracts/convert.js';
import { balances } from '../factorize/balance.js';
import { engineNames } from '../factorize/engine.js';
import { recoverRanges } from '../recover/ranges.js';
import { initNames, inits } from '../factorize/inits/index.js';
import { fitSchedules } from '../factorize/sampled/settings.js';
import { accuracyOptions } from './accuracy-options.js';
import { fileOptions } from './file-options.js';
import { imageOptions, inputOption } from './image-options.js';
import { memoryOption, threadsOption, timeoutOption } from './running-options.js';

const recalibrationGroup = 'Recalibration';
const sampledGroup = 'Sampled fits (--init lfai-adam, lfai-ws-adam, fai)';
const calibrationGroup = 'Calibration images';
const recoveryGroup = 'Recovery';
const imagesGroup = 'Images (of --calibrate, --recover, --recalibrate and --val)';
const accuracyGroup = 'Accuracy budget';

/** Every option of the command. */
export const convertOptions = {
  output: {
    type: 'string',
    short: 'o',
    placeholder: 'path',
    description: 'where to write (default: <model>.lowrank.onnx)',
  },
  force: { type: 'boolean', default: false, description: 'replace existing output files' },
  ...fileOptions,
  openBatch: {
    type: 'boolean',
    default: false,
    description: 'a model that takes any number of images, where it was exported for a fixed one',
  },
  report: { type: 'string', placeholder: 'path', description: 'also write an HTML report with charts' },
  rankScale: {
    type: 'number',
    placeholder: 's',
    group: 'Ranks (one of)',
    description: 'rank = max(1, round(s · min(rows, cols))) of each layer (the default with --calibrate none, at 0.25)',
  },
  ranks: {
    type: 'string',
    placeholder: 'path',
    group: 'Ranks (one of)',
    description: 'JSON file: {"layer name": rank or "keep"}; others are kept',
  },
  energy: {
    type: 'number',
    placeholder: 'e',
    group: 'Ranks (one of)',
    description: 'smallest rank that holds this fraction of the squared weights',
  },
  vbmf: {
    type: 'boolean',
    default: false,
    group: 'Ranks (one of)',
    description: 'what variational Bayesian matrix factorization takes for signal in each layer',
  },
  stableRank: {
    type: 'number',
    placeholder: 'f',
    group: 'Ranks (one of)',
    description: 'f times the stable rank ‖W‖²_F / ‖W‖² of each layer, rounded',
  },
  paramsBudget: {
    type: 'number',
    placeholder: 'r',
    group: 'Ranks (one of)',
    description: 'fraction of the parameters, shared out over all layers by what the outputs feel of each',
  },
  macsBudget: {
    type: 'number',
    placeholder: 'r',
    group: 'Ranks (one of)',
    description:
      'fraction of the multiply-accumulates, shared out over all layers by what the outputs feel of each (default: 0.5)',
  },
  latencyBudget: {
    type: 'number',
    placeholder: 'r',
    group: 'Ranks (one of)',
    description: 'fraction of the time, measured on this machine',
  },
  keep: {
    type: 'number',
    placeholder: 'share',
    group: 'Ranks (one of)',
    description:
      'the smallest model that gives this share of the images kept out of the fit the class that the original gives them, such as 0.97',
  },
  accuracyBudget: {
    type: 'number',
    placeholder: 'p',
    group: 'Ranks (one of)',
    description: 'the smallest model found that loses at most p points of top-1, measured on --val',
  },
  curve: {
    type: 'boolean',
    default: false,
    group: 'Ranks',
    description: 'print what each of ten budgets is expected to cost, some of them measured; nothing is written',
  },
  rankBase: {
    type: 'string',
    choices: ['min', 'out'],
    group: 'Ranks',
    description: 'what --rank-scale multiplies: min(rows, cols), or out · kh as in Khodak et al. (default: min)',
  },
  rankFloor: {
    type: 'number',
    placeholder: 's',
    group: 'Ranks',
    description: 'with --vbmf or --stable-rank: at least s · min(rows, cols) (default: 0.1 with --vbmf)',
  },
  rankMultiple: {
    type: 'integer',
    default: 1,
    minimum: 1,
    placeholder: 'm',
    group: 'Ranks',
    description: 'round ranks to multiples of m',
  },
  minRank: {
    type: 'integer',
    minimum: 1,
    placeholder: 'n',
    group: 'Ranks',
    description:
      'least rank that a budget gives a layer (default: 1 with images of --calibrate, else a thirty-second of the full rank)',
  },
  allowBigger: {
    type: 'boolean',
    default: false,
    group: 'Ranks',
    description: 'factorize even where it saves nothing',
  },
  scheme: {
    type: 'string',
    choices: ['auto', ...convolutionSchemes],
    default: 'auto',
    group: 'Factorization',
    description: 'spatial: 1×kw, kh×1; channel: kh×kw, 1×1; tucker: 1×1, kh×kw, 1×1; auto: the least error',
  },
  balance: {
    type: 'string',
    choices: balances,
    default: 'weight',
    group: 'Factorization',
    description:
      'what the free scale between two factors makes even: weight, their norms; activation, what lies between them, for a model that is quantized to int8 afterwards',
  },
  init: {
    type: 'string',
    choices: initNames,
    group: 'Factorization',
    description: `how the pair is fitted (default: lfai-data with images of --calibrate, whitened with synthetic ones, lfai with none): ${initNames.map((name) => `${name} (${inits[name].summary})`).join('; ')}`,
  },
  fitSteps: {
    type: 'integer',
    minimum: 1,
    placeholder: 'n',
    group: sampledGroup,
    description:
      'steps of Adam in each layer (default: 1000, of fai 300; what the paper used is not known, these are our own)',
  },
  fitBatch: {
    type: 'integer',
    minimum: 1,
    placeholder: 'n',
    group: sampledGroup,
    description: 'random inputs of one step (default: 256, of fai 32)',
  },
  fitLr: {
    type: 'number',
    placeholder: 'r',
    group: sampledGroup,
    description:
      "Adam's learning rate (default: a share of the root mean square of a layer's start, 0.005 of the truncated SVD, 0.1 of fresh factors)",
  },
  fitSchedule: {
    type: 'string',
    choices: fitSchedules,
    group: sampledGroup,
    description: 'how it falls to 0, or that it stays (default: linear)',
  },
  reinit: {
    type: 'boolean',
    default: false,
    group: 'Factorization',
    description: 'draw fresh truncated-normal weights first, for low-rank training from scratch',
  },
  seed: { type: 'integer', default: 0, minimum: 0, group: 'Factorization', description: 'seed of everything random' },
  include: {
    type: 'list',
    placeholder: 'glob',
    group: 'Layers',
    description: 'only layers or weights with matching names',
  },
  exclude: {
    type: 'list',
    placeholder: 'glob',
    group: 'Layers',
    description: 'keep layers or weights with matching names',
  },
  factorizePairs: {
    type: 'boolean',
    default: false,
    group: 'Layers',
    description: 'also factorize the factors of low-rank pairs',
  },
  keepFirst: { type: 'boolean', default: true, group: 'Layers', description: 'also factorize the first layer' },
  keepLast: { type: 'boolean', default: true, group: 'Layers', description: 'also factorize the last layer' },
  calibrate: {
    type: 'string',
    placeholder: 'path',
    group: calibrationGroup,
    also: ['data'],
    description:
      'choose ranks and fit layers by what they see on these images, which need no labels: a folder of them, or any data set; synthetic: pictures that are drawn here (the default for models of images); none: by the weights alone; --data says the same',
  },
  calibrateImages: {
    type: 'integer',
    minimum: 1,
    placeholder: 'n',
    group: calibrationGroup,
    description: 'images that layers are fitted on (default: 256); others are kept out to measure on',
  },
  biasCorrection: {
    type: 'boolean',
    default: true,
    group: calibrationGroup,
    description: 'leave biases alone: they are to put right what a pair changes in the mean',
  },
  ...accuracyOptions(accuracyGroup),
  recalibrate: {
    type: 'string',
    placeholder: 'path',
    group: recalibrationGroup,
    description:
      'estimate the statistics of every BatchNormalization anew on these images: a folder of them, or any data set',
  },
  recalibrateImages: {
    type: 'integer',
    minimum: 2,
    placeholder: 'n',
    group: recalibrationGroup,
    description: 'images that are drawn (default: 512)',
  },
  batchSize: {
    type: 'integer',
    minimum: 2,
    placeholder: 'n',
    group: recalibrationGroup,
    description: 'images that are normalized together (default: 64)',
  },
  recover: {
    type: 'string',
    placeholder: 'path',
    group: recoveryGroup,
    description: 'fit to these images, then train towards the original',
  },
  recoverSteps: {
    ...recoverRanges.steps,
    placeholder: 'n',
    group: recoveryGroup,
    description: 'updates of that training (default: 600 to 3,000, the more the smaller the model)',
  },
  ...imageOptions(imagesGroup),
  ...inputOption('Running'),
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
    description: 'where the models run; on cuda, pairs are fitted there too',
  },
  engine: {
    type: 'string',
    choices: engineNames,
    default: 'ort',
    group: 'Running',
    description: 'what fits the pairs: onnxruntime, or an installed TensorFlow.js',
  },
  threads: threadsOption('Running'),
  maxMemory: memoryOption('Running'),
  verifyTimeout: timeoutOption('Running'),
  latency: { type: 'boolean', default: false, group: 'Running', description: 'measure the time of both models' },
  verify: {
    type: 'boolean',
    default: true,
    group: 'Running',
    description: 'skip running the written model against the original',
  },
} as const;
