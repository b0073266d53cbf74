import { kebabCase, type OptionTable } from './options.js';

/** What people call a command that is called otherwise here. */
export const commandWords: Readonly<Record<string, readonly string[]>> = {
  convert: [
    ...['compress', 'factorize', 'factorise', 'decompose', 'lowrank', 'low-rank', 'svd', 'shrink', 'reduce', 'prune'],
    ...['optimize', 'optimise', 'simplify', 'slim', 'approximate', 'transform', 'quantize', 'quantise', 'quant'],
  ],
  train: ['finetune', 'fine-tune', 'tune', 'retrain', 'fit', 'distill', 'learn', 'resume'],
  eval: ['evaluate', 'evaluation', 'val', 'validate', 'test', 'accuracy', 'score', 'benchmark', 'predict', 'infer'],
  inspect: ['info', 'show', 'view', 'print', 'summary', 'summarize', 'describe', 'stats', 'analyze', 'ranks', 'layers'],
  compare: ['diff', 'versus', 'vs'],
  artifacts: ['export', 'export-training', 'onnx-training', 'training-artifacts'],
  create: ['new', 'init', 'make', 'model', 'build'],
  merge: ['fuse', 'fold', 'undo', 'unfactorize', 'reconstruct', 'join'],
  study: ['sweep', 'grid', 'experiment', 'experiments'],
  data: ['dataset', 'datasets', 'images', 'pack', 'check'],
  doctor: ['env', 'environment', 'diagnose', 'system', 'version-info'],
};

/**
 * What people call an option that is called otherwise here, by its flag; a command is told those that it has, in this order.
 */
export const optionWords: Readonly<Record<string, readonly string[]>> = {
  'macs-budget': [
    ...['ratio', 'compression', 'compression-ratio', 'compress', 'budget', 'sparsity', 'flops', 'flops-budget', 'macs'],
    ...['target', 'reduction', 'speedup', 'amount'],
  ],
  'params-budget': ['ratio', 'compression-ratio', 'params', 'parameters', 'size-budget', 'size-ratio'],
  'rank-scale': ['rank', 'rank-ratio', 'rank-fraction', 'scale'],
  'accuracy-budget': ['accuracy', 'max-drop', 'drop', 'tolerance', 'accuracy-drop', 'points'],
  keep: ['agreement', 'min-agreement'],
  data: [
    ...['images', 'image', 'img', 'dataset', 'data-dir', 'data-path', 'dir', 'folder', 'photos', 'pictures', 'source'],
    ...['train', 'train-data', 'train-dir', 'val', 'test', 'calibration', 'calibration-data', 'calib', 'root'],
  ],
  val: ['val-data', 'val-dir', 'validation', 'validation-data', 'test', 'test-data', 'labels-data'],
  'image-size': [
    ...['size', 'imgsz', 'img-size', 'img', 'image-shape', 'input-size', 'input-resolution', 'resolution', 'crop-size'],
    ...['height', 'width', 'res', 'shape'],
  ],
  'input-shape': ['input-size', 'shape', 'dims'],
  normalization: ['normalize', 'normalise', 'norm', 'preprocess', 'preprocessing', 'transform'],
  classes: ['labels', 'names', 'class-names', 'label-names', 'class-map', 'categories'],
  'num-classes': ['classes', 'nc', 'n-classes', 'outputs'],
  output: [
    'out',
    'out-file',
    'output-path',
    'output-file',
    'output-dir',
    'out-dir',
    'outdir',
    'save',
    'save-dir',
    'to',
  ],
  force: ['overwrite', 'yes', 'y', 'exist-ok', 'replace'],
  epochs: ['epoch', 'num-epochs', 'n-epochs', 'iterations'],
  'batch-size': ['batch', 'bs', 'batchsize', 'mini-batch'],
  lr: ['learning-rate', 'learningrate', 'lr0', 'base-lr', 'initial-lr'],
  'weight-decay': ['wd', 'l2', 'decay-rate'],
  optimizer: ['opt', 'optim', 'solver'],
  schedule: ['scheduler', 'lr-schedule', 'lr-scheduler', 'cos-lr'],
  warmup: ['warmup-epochs', 'warm-up'],
  'new-head': ['reset-head', 'replace-head', 'reset-classifier', 'head'],
  resume: ['continue', 'checkpoint', 'ckpt', 'restart'],
  precision: ['amp', 'half', 'fp16', 'bf16', 'mixed-precision', 'dtype'],
  device: ['gpu', 'cuda', 'provider', 'execution-provider', 'ep'],
  threads: ['num-threads', 'jobs', 'cpus', 'cores', 'j'],
  workers: ['num-workers', 'loader-workers'],
  init: ['method', 'algorithm', 'initialization', 'initialisation', 'fit'],
  include: ['layers', 'only', 'layer'],
  exclude: ['skip', 'ignore', 'skip-layers', 'exclude-layers'],
  verify: ['check', 'no-check', 'skip-check', 'skip-verify'],
  vs: ['versus', 'against', 'baseline', 'compare', 'other', 'reference', 'teacher'],
  limit: ['max-images', 'max-samples', 'num-images', 'samples', 'n', 'subset', 'num-samples'],
  'calibrate-images': ['max-images', 'num-images', 'samples', 'num-samples', 'calibration-size'],
  report: ['html', 'page', 'plot', 'plots'],
  seed: ['random-seed', 'random-state'],
  quiet: ['silent', 'no-progress', 'verbose'],
  config: ['cfg', 'settings', 'yaml'],
};

const meant = (word: string, table: Readonly<Record<string, readonly string[]>>): readonly string[] =>
  Object.entries(table).flatMap(([name, words]) => (words.includes(word) ? [name] : []));

/** The command that a word stands for elsewhere; undefined where it is none of those. */
export function meantCommand(word: string): string | undefined {
  return meant(word.toLowerCase(), commandWords)[0];
}

/** Options that a word, without dashes, stands for elsewhere: of `known`, in kebab case, at most two. */
export function meantOptions(word: string, known: readonly string[]): readonly string[] {
  const plain = word.toLowerCase().replaceAll('_', '-');
  const same = known.includes(plain) && plain !== word ? [plain] : [];
  return [...same, ...meant(plain, optionWords).filter((name) => known.includes(name))].slice(0, 2);
}

/** Names of a table's options as flags without the dashes, other names of theirs included. */
export function flagNames(table: OptionTable): readonly string[] {
  return Object.entries(table).flatMap(([name, { also = [] }]) => [name, ...also].map(kebabCase));
}
