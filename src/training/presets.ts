import { defaultTrainSettings, type TrainSettings } from './options.js';

export const presetNames = ['imagenet-resnet', 'imagenet-efficientnet', 'fine-tune'] as const;
export type PresetName = (typeof presetNames)[number];

/** Settings of a preset; `lr` is for 256 images an update, and scales with them (Goyal et al., arXiv 1706.02677). */
export const presets: Readonly<Record<PresetName, Partial<TrainSettings>>> = {
  /** He et al. (arXiv 1512.03385) with the warm-up, cosine and smoothing that later became common (arXiv 1812.01187). */
  'imagenet-resnet': {
    optimizer: 'sgd',
    momentum: 0.9,
    weightDecay: 1e-4,
    labelSmoothing: 0.1,
    lr: 0.1,
    warmup: 5,
    schedule: 'cosine',
    epochs: 90,
    augment: 'crop',
  },
  /** Tan and Le (arXiv 1905.11946), section 5.2. */
  'imagenet-efficientnet': {
    optimizer: 'rmsprop',
    momentum: 0.9,
    beta2: 0.9,
    epsilon: 1e-3,
    weightDecay: 1e-5,
    labelSmoothing: 0.1,
    lr: 0.016,
    warmup: 5,
    schedule: 'step',
    decayEvery: 2.4,
    decayFactor: 0.97,
    epochs: 350,
    ema: 0.9999,
    dropout: 0.2,
    dropPath: 0.2,
    augment: 'crop',
  },
  /** Our own: a trained model that has lost a little, such as a converted one, gets it back. */
  'fine-tune': {
    optimizer: 'sgd',
    momentum: 0.9,
    nesterov: true,
    weightDecay: 1e-4,
    lr: 0.04,
    lrTrials: true,
    warmup: 0.5,
    schedule: 'cosine',
    epochs: 10,
    augment: 'auto',
    minScale: 0.35,
    retreats: 5,
  },
};

/** What a preset's learning rate is for. */
export const presetBatch = 256;

/** Settings of an update rule: those of a preset are for its own rule. */
const ofRule = [
  'momentum',
  'nesterov',
  'beta1',
  'beta2',
  'epsilon',
] as const satisfies readonly (keyof TrainSettings)[];

const isOtherRule = (preset: Partial<TrainSettings>, own: Partial<TrainSettings>): boolean =>
  own.optimizer !== undefined && own.optimizer !== preset.optimizer;

/** What a preset leaves to the training where `own` says it. */
function saidBy(own: Partial<TrainSettings>): readonly (keyof TrainSettings)[] {
  return [
    ...(own.momentum === 0 ? (['nesterov'] as const) : []),
    ...(own.lr === undefined ? [] : (['lrTrials'] as const)),
    ...(own.minScale === undefined ? [] : (['augment'] as const)),
  ];
}

/**
 * The settings of a preset with `own` over them, whatever they are: false, 0 and null too, but not undefined. Where `own`
 * names another optimizer, what the preset sets of its own one goes with that; its Nesterov momentum goes with its momentum.
 * The learning rate, where it is the preset's, is that for the images of one update; where `own` names one, none is searched for, and
 * where it says how much of the area crops keep, the training images are cropped.
 */
export function withPreset(name: PresetName | undefined, own: Partial<TrainSettings>): Partial<TrainSettings> {
  const chosen = Object.fromEntries(
    Object.entries(own).filter(([, value]) => value !== undefined),
  ) as Partial<TrainSettings>;
  if (name === undefined) return chosen;
  const preset: Partial<TrainSettings> = presets[name];
  const gone = new Set<string>([...(isOtherRule(preset, chosen) ? ofRule : []), ...saidBy(chosen)]);
  const kept = Object.fromEntries(Object.entries(preset).filter(([key]) => !gone.has(key))) as Partial<TrainSettings>;
  const merged = { ...kept, ...chosen };
  if (preset.lr === undefined || chosen.lr !== undefined) return merged;
  const { batchSize, accumulate } = { ...defaultTrainSettings, ...merged };
  return { ...merged, lr: (preset.lr * batchSize * accumulate) / presetBatch };
}

/** What to know of a preset under other settings, a line each. */
export function presetNotes(name: PresetName | undefined, own: Partial<TrainSettings>): readonly string[] {
  const preset: Partial<TrainSettings> = name === undefined ? {} : presets[name];
  const isTried = own.lrTrials ?? preset.lrTrials ?? false;
  if (!isOtherRule(preset, own) || own.lr !== undefined || isTried) return [];
  return [
    `the learning rate of ${name} is for ${preset.optimizer}, not ${own.optimizer}: --lr sets another, --lr-find suggests one`,
  ];
}
