import { LowrankError } from '../src/errors.js';
import type { Architecture } from './architecture.js';
import type { Feature, Network } from './network.js';

/** Simonyan, Zisserman (arXiv 1409.1556), table 1, column D: channels of the 3×3 convolutions between the max poolings. */
const stages: readonly (readonly number[])[] = [
  [64, 64],
  [128, 128],
  [256, 256, 256],
  [512, 512, 512],
  [512, 512, 512],
];
const hidden = 4096;
/** The side that torchvision's adaptive average pooling brings the features to. */
const pooledSide = 7;

/** VGG-16 without BatchNormalization, as torchvision builds it; dropout has no part in inference. */
export const vggs: readonly Architecture[] = [
  {
    name: 'vgg16',
    imageSize: 224,
    numClasses: 1000,
    inChannels: 3,
    normalization: 'imagenet',
    minImageSize: 32,
    build,
  },
];

function build(network: Network, image: Feature, classes: number): void {
  let x = image;
  let module = 0;
  for (const stage of stages) {
    for (const out of stage) {
      x = network.conv(x, `features.${module++}`, { out, kernel: 3, bias: true });
      x = network.relu(x, `features.${module++}`);
    }
    x = network.maxPool(x, `features.${module++}`, { kernel: 2, stride: 2 });
  }
  x = network.flatten(pool(network, x, image.side));
  x = network.relu(network.linear(x, 'classifier.0', hidden), 'classifier.1');
  x = network.relu(network.linear(x, 'classifier.3', hidden), 'classifier.4');
  network.classifier(x, 'classifier.6', classes);
}

/**
 * Adaptive average pooling to 7×7 where ONNX has an operator for it: all windows alike. Features of less than 7×7
 * (images below 224) go to the classifier as they are.
 */
function pool(network: Network, x: Feature, imageSize: number): Feature {
  const { side } = x;
  if (side <= pooledSide) return x;
  const start = (index: number): number => Math.floor((index * side) / pooledSide);
  const end = (index: number): number => Math.ceil(((index + 1) * side) / pooledSide);
  const stride = start(1);
  const kernel = end(0);
  for (let index = 0; index < pooledSide; index++) {
    if (start(index) === index * stride && end(index) === index * stride + kernel) continue;
    throw new LowrankError('USAGE', `features of ${side}×${side} do not average to ${pooledSide}×${pooledSide}`, {
      place: `vgg16, image size ${imageSize}`,
      remedy: 'choose an image size up to 287, or one of 448 to 511',
    });
  }
  return network.averagePool(x, 'avgpool', { kernel, stride });
}
