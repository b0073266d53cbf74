import type { Feature, Network } from './network.js';

/** An architecture that can be created: one entry in its family's file, one line per family in index.ts. */
export interface Architecture {
  readonly name: string;
  /** Published side of the square input image, in pixels. */
  readonly imageSize: number;
  readonly numClasses: number;
  /** Channels of the input image. */
  readonly inChannels: number;
  /** How images were normalized when it was published, by name; null where it takes no color images. */
  readonly normalization: 'imagenet' | 'cifar10' | null;
  /** Smallest side whose features do not vanish. */
  readonly minImageSize: number;
  /** Units of its hidden layers, first to last, where whoever creates it may choose them. */
  readonly hidden?: readonly number[];
  /** Emits everything from the image to the logits. Throws USAGE where the image size does not suit. */
  build(network: Network, image: Feature, classes: number, hidden: readonly number[]): void;
}
