import type { TrainSettings } from './options.js';

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
    warmup: 0.5,
    schedule: 'cosine',
    epochs: 10,
    augment: 'crop',
    minScale: 0.35,
  },
};

/** What a preset's learning rate is for. */
export const presetBatch = 256;
