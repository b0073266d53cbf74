import type { DataCheckReport, DataPackReport } from '../contracts/data.js';
import { LowrankError, throwIfAborted } from '../errors.js';
import { checkSource } from '../data/check.js';
import { readClassList } from '../data/class-list.js';
import { defaultPixelLimit } from '../data/decode.js';
import { openSource } from '../data/open.js';
import { packSource } from '../data/pack.js';
import { imageReads } from '../data/paths.js';
import { defaultWorkers } from '../data/pool.js';
import type { ImageSource } from '../data/types.js';
import { writes } from '../files/conflicts.js';
import { formatBytes, plural } from '../report/format.js';
import { printable } from '../report/text.js';
import { tool } from '../version.js';
import { dataCheckText } from './data-text.js';
import { type CommandContext, type CommandResult, defineCommand } from './command.js';
import { closest, type SettingsOf } from './options.js';
import { checkCommandPaths } from './paths.js';

const packGroup = 'Options of pack';

const options = {
  split: { type: 'string', placeholder: 'name', description: 'part of the data set, such as train or val' },
  classes: { type: 'string', placeholder: 'file', description: 'class list in the order of the model (text or JSON)' },
  groundTruth: {
    type: 'string',
    placeholder: 'file',
    description: 'labels of a tar of unlabelled images, or the ILSVRC2012 development kit',
  },
  maxPixels: {
    type: 'integer',
    minimum: 1,
    default: defaultPixelLimit,
    placeholder: 'n',
    description: 'images of more pixels are bad',
  },
  workers: {
    type: 'integer',
    minimum: 0,
    maximum: 1024,
    placeholder: 'n',
    description: 'decode threads; above 4, set UV_THREADPOOL_SIZE as well (default: one per core, at most 4)',
  },
  output: {
    type: 'string',
    short: 'o',
    placeholder: 'folder',
    group: packGroup,
    description: 'where to write the shards',
  },
  size: {
    type: 'integer',
    minimum: 1,
    maximum: 65_535,
    default: 256,
    placeholder: 'pixels',
    group: packGroup,
    description: 'shorter side; smaller images stay as they are',
  },
  format: {
    type: 'string',
    choices: ['jpeg', 'ppm'],
    default: 'jpeg',
    group: packGroup,
    description: 'how images are stored; ppm is not compressed: several times as large, and much faster to read',
  },
  quality: {
    type: 'integer',
    minimum: 1,
    maximum: 100,
    default: 92,
    placeholder: 'n',
    group: packGroup,
    description: 'quality of JPEG',
  },
  shardSize: {
    type: 'integer',
    minimum: 1,
    maximum: 1_000_000,
    default: 1000,
    placeholder: 'images',
    group: packGroup,
    description: 'images per shard',
  },
  shuffle: { type: 'boolean', default: true, group: packGroup, description: 'keep the order of the data set' },
  seed: {
    type: 'integer',
    minimum: 0,
    default: 0,
    placeholder: 'n',
    group: packGroup,
    description: 'seed of the order',
  },
  maxBad: {
    type: 'integer',
    minimum: 0,
    default: 0,
    placeholder: 'n',
    group: packGroup,
    description: 'bad images that may be left out',
  },
  force: { type: 'boolean', default: false, group: packGroup, description: 'replace a pack that is there already' },
} as const;

type Context = CommandContext<{ readonly action: string; readonly path: string }, SettingsOf<typeof options>>;

export const command = defineCommand({
  name: 'data',
  summary: 'check a data set of images, or pack it into shards of reduced images',
  arguments: {
    action: { description: 'check: decode every image and count; pack: write WebDataset shards' },
    path: { description: 'folder of class folders, tar, shards "train-{000..099}.tar", parquet, CIFAR, or MNIST' },
  },
  options,
  usual: ['output', 'size', 'format', 'split', 'classes', 'maxBad', 'workers', 'force'],
  examples: [
    {
      command: 'lowrank data check photos/train',
      description: 'classes, sizes, and every file that cannot be decoded',
    },
    {
      command: 'lowrank data check ILSVRC2012_img_train.tar --json',
      description: 'ImageNet as downloaded, for a program',
    },
    {
      command: 'lowrank data pack photos/train -o shards/',
      description: 'shards with a shorter side of 256, for fast epochs',
    },
  ],
  async run(context) {
    const { action } = context.arguments;
    if (action !== 'check' && action !== 'pack') {
      const close = closest(action, ['check', 'pack']);
      throw new LowrankError('USAGE', `there is no action '${action}'`, {
        remedy: close === undefined ? 'choose check or pack' : `did you mean '${close}'?`,
      });
    }
    checkOptions(action, context);
    const { output, classes, groundTruth } = context.settings;
    const packed = output === undefined ? [] : [writes(output, 'the folder of shards', '-o', 'folder')];
    checkCommandPaths({ config: context.configPath, classes, groundTruth }, [
      ...imageReads(context.arguments.path, 'the images'),
      ...packed,
    ]);
    const source = await open(context);
    try {
      for (const warning of source.warnings) context.warn(warning);
      return action === 'check' ? await check(source, context) : await pack(source, context);
    } finally {
      await source.close();
    }
  },
});

function checkOptions(action: 'check' | 'pack', { settings }: Context): void {
  if (action === 'pack' && settings.output === undefined) {
    throw new LowrankError('USAGE', "option '--output' is missing", {
      remedy: 'say where to write the shards: -o shards/',
    });
  }
  if (action === 'check' && settings.output !== undefined) {
    throw new LowrankError('USAGE', "'check' writes nothing, and --output is given", {
      remedy: "did you mean 'pack'?",
    });
  }
}

async function open({ arguments: { path }, settings, signal, progress }: Context): Promise<ImageSource> {
  return openSource(path, {
    split: settings.split,
    classes: settings.classes === undefined ? undefined : readClassList(settings.classes),
    groundTruth: settings.groundTruth,
    signal,
    onProgress: (images) => {
      progress.update({ phase: 'read', done: images, total: 0 });
    },
  });
}

function workersOf({ settings, warn }: Context): number {
  const workers = settings.workers ?? defaultWorkers();
  const threads = Number(process.env['UV_THREADPOOL_SIZE'] ?? 4);
  if (workers > threads) warn(`${workers} workers share ${threads} threads: set UV_THREADPOOL_SIZE=${workers}`);
  return workers;
}

async function check(source: ImageSource, context: Context): Promise<CommandResult> {
  const { settings, signal, progress } = context;
  const started = performance.now();
  const found = await checkSource(source, {
    pixelLimit: settings.maxPixels,
    workers: workersOf(context),
    signal,
    onProgress: (done, total) => {
      progress.update({ phase: 'check', done, total });
    },
  });
  throwIfAborted(signal);
  const seconds = (performance.now() - started) / 1000;
  const report: DataCheckReport = {
    schema: 'lowrank.data-check/1',
    tool,
    path: source.path,
    settings: context.resolvedSettings,
    ...found,
    seconds,
    imagesPerSecond: source.length / seconds,
  };
  return {
    document: report,
    text: (terminal) => dataCheckText(source.path, found, source.length / seconds, terminal),
    exitCode: found.bad.length === 0 ? 0 : 1,
  };
}

async function pack(source: ImageSource, context: Context): Promise<CommandResult> {
  const { settings, signal, progress } = context;
  const started = performance.now();
  const output = settings.output!;
  const manifest = await packSource(source, output, {
    settings: {
      size: settings.size,
      format: settings.format,
      quality: settings.quality,
      interpolation: 'bicubic',
      shardSize: settings.shardSize,
      seed: settings.shuffle ? settings.seed : null,
    },
    tool,
    force: settings.force,
    maxBad: settings.maxBad,
    pixelLimit: settings.maxPixels,
    workers: workersOf(context),
    signal,
    onProgress: (done, total) => {
      progress.update({ phase: 'pack', done, total });
    },
  });
  const seconds = (performance.now() - started) / 1000;
  for (const { name, reason } of manifest.bad) context.warn(`left out: ${name}: ${reason}`);
  const report: DataPackReport = { ...manifest, path: source.path, output, seconds };
  const { images, bytes, shards } = manifest;
  return {
    document: report,
    text: () =>
      `${plural(images, 'image')} in ${plural(shards.length, 'shard')}, ${formatBytes(bytes)}, written to ${printable(output)}\n`,
  };
}
