import { LowrankError } from '../src/errors.js';
import { checkModel } from '../src/graph/check.js';
import { recordImageFacts, usualResize } from '../src/graph/image-facts.js';
import { type Model, newModel } from '../src/graph/model.js';
import { tool } from '../src/version.js';
import type { Architecture } from './architecture.js';
import { cifarResnets } from './cifar-resnet.js';
import { efficientnets } from './efficientnet.js';
import { lenets } from './lenet.js';
import { perceptrons } from './mlp.js';
import { Network } from './network.js';
import { resnets } from './resnet.js';
import { vggs } from './vgg.js';

export type { Architecture } from './architecture.js';

/** Every architecture that `create` knows. */
export const architectures: readonly Architecture[] = [
  ...resnets,
  ...cifarResnets,
  ...efficientnets,
  ...vggs,
  ...lenets,
  ...perceptrons,
];

/** Beyond what any data set has, and small enough that no size overflows. */
const largestClasses = 1_000_000;
const largestImageSize = 65_536;
const largestChannels = 4096;
const largestHidden = 1_000_000;
const mostHidden = 100;

/** What is not given is as the architecture was published. */
export interface CreateOptions {
  /** Of the weights: a whole number from 0 to 2⁵³ − 1. Default 0. */
  readonly seed?: number | undefined;
  readonly numClasses?: number | undefined;
  /** Side of the square input image in pixels. */
  readonly imageSize?: number | undefined;
  /** Channels of the input image. */
  readonly inChannels?: number | undefined;
  /** Units of the hidden layers, first to last, of an architecture that leaves them open (`mlp`). */
  readonly hidden?: readonly number[] | undefined;
}

/** The architecture of a name, in which - and _ are the same; undefined where there is none. */
export function architectureOf(name: string): Architecture | undefined {
  const wanted = name.replaceAll('-', '_');
  return architectures.find((architecture) => architecture.name === wanted);
}

/**
 * An untrained model: float32 input `input` of [batch, channels, side, side], output `logits` of [batch, classes], opset
 * 17, IR version 8, BatchNormalization kept. Weights are truncated normal (see `Network`) and are computed when they are
 * written, so this call is cheap at any size. The same arguments give the same bytes. Throws USAGE for an unknown
 * architecture or an impossible setting.
 */
export function create(architecture: string, options: CreateOptions = {}): Model {
  const found = architectureOf(architecture);
  if (found === undefined) {
    throw new LowrankError('USAGE', `there is no architecture '${architecture}'`, {
      remedy: `choose one of ${architectures.map(({ name }) => name).join(', ')}`,
    });
  }
  const settings = {
    seed: options.seed ?? 0,
    numClasses: options.numClasses ?? found.numClasses,
    imageSize: options.imageSize ?? found.imageSize,
    inChannels: options.inChannels ?? found.inChannels,
    hidden: hiddenOf(found, options.hidden),
  };
  const { seed, numClasses, imageSize, inChannels, hidden } = settings;
  checkWhole('seed', seed, 0, Number.MAX_SAFE_INTEGER);
  checkWhole('number of classes', numClasses, 1, largestClasses);
  checkWhole('image size', imageSize, found.minImageSize, largestImageSize);
  checkWhole('number of input channels', inChannels, 1, largestChannels);
  const network = new Network(seed);
  found.build(network, network.input(inChannels, imageSize), numClasses, hidden);
  const model = newModel(network.graph, new Map([['', 17]]), 8, tool);
  model.metadata.set(
    'lowrank.create',
    JSON.stringify({ architecture: found.name, seed, ...(found.hidden === undefined ? {} : { hidden }) }),
  );
  recordImageFacts(model, {
    ...(found.normalization === null || inChannels !== 3 ? {} : { normalization: found.normalization }),
    imageSize,
    resize: usualResize(imageSize),
  });
  checkModel(model);
  return model;
}

/** Numbers that training changes: all initializers but BatchNormalization's running statistics. */
export function countParameters(model: Model): number {
  const { graph } = model;
  const statistics = new Set(
    graph.nodes.filter((node) => node.is('BatchNormalization')).flatMap((node) => node.inputs.slice(3)),
  );
  return graph.initializers.reduce((sum, value) => sum + (statistics.has(value) ? 0 : value.tensor!.size), 0);
}

function hiddenOf({ name, hidden }: Architecture, given: readonly number[] | undefined): readonly number[] {
  if (given === undefined) return hidden ?? [];
  if (hidden === undefined) {
    throw new LowrankError('USAGE', `the hidden layers of ${name} are as published, and others are given`, {
      remedy: 'leave --hidden out; it belongs to mlp',
    });
  }
  if (given.length < 1 || given.length > mostHidden) {
    throw new LowrankError('USAGE', `${given.length} hidden layers are given`, {
      remedy: `give 1 to ${mostHidden}, such as --hidden 500,500`,
    });
  }
  for (const units of given) checkWhole('number of hidden units', units, 1, largestHidden);
  return given;
}

function checkWhole(what: string, value: number, minimum: number, maximum: number): void {
  if (Number.isSafeInteger(value) && value >= minimum && value <= maximum) return;
  throw new LowrankError('USAGE', `the ${what} is ${value}`, {
    remedy: `give a whole number from ${minimum} to ${maximum}`,
  });
}
