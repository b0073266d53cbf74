import { LowrankError } from '../src/errors.js';
import type { Architecture } from './architecture.js';
import type { Feature, Network } from './network.js';
import { batchNorm, convolution } from './resnet.js';

/** Channels of the 3×3 convolutions between the max poolings. */
type Stages = readonly (readonly number[])[];

/** Simonyan, Zisserman (arXiv 1409.1556), table 1, columns D and E. */
const vgg16: Stages = [
  [64, 64],
  [128, 128],
  [256, 256, 256],
  [512, 512, 512],
  [512, 512, 512],
];
const vgg19: Stages = [
  [64, 64],
  [128, 128],
  [256, 256, 256, 256],
  [512, 512, 512, 512],
  [512, 512, 512, 512],
];
const hidden = 4096;
/** The side that torchvision's adaptive average pooling brings the features to. */
const pooledSide = 7;

/** VGG as torchvision builds it, without and with BatchNormalization; dropout has no part in inference. */
const published = (name: string, stages: Stages, hasBatchNorm: boolean): Architecture => ({
  ...{ name, imageSize: 224, numClasses: 1000, inChannels: 3, normalization: 'imagenet', minImageSize: 32 },
  build: (network, image, classes) => build(network, image, classes, { name, stages, hasBatchNorm }),
});

export const vggs: readonly Architecture[] = [
  published('vgg16', vgg16, false),
  published('vgg16_bn', vgg16, true),
  published('vgg19', vgg19, false),
  published('vgg19_bn', vgg19, true),
  // Wang, Agarwal, Papailiopoulos: Pufferfish (arXiv 2103.03936), as their code has it.
  {
    ...{
      name: 'vgg19_cifar',
      imageSize: 32,
      numClasses: 10,
      inChannels: 3,
      normalization: 'cifar10',
      minImageSize: 32,
    },
    build: buildSmall,
  },
];

interface Variant {
  readonly name: string;
  readonly stages: Stages;
  readonly hasBatchNorm: boolean;
}

function build(network: Network, image: Feature, classes: number, { name, stages, hasBatchNorm }: Variant): void {
  // torchvision's convolutions have a bias also where a BatchNormalization follows.
  let x = features(network, image, stages, (y, out, next) => {
    const z = network.conv(y, next(), { out, kernel: 3, bias: true });
    return network.relu(hasBatchNorm ? network.batchNorm(z, next(), batchNorm) : z, next());
  });
  x = network.flatten(pool(network, x, image.side, name));
  x = network.relu(network.linear(x, 'classifier.0', hidden), 'classifier.1');
  x = network.relu(network.linear(x, 'classifier.3', hidden), 'classifier.4');
  network.classifier(x, 'classifier.6', classes);
}

/** Two hidden dense layers of 512 units, and no bias in front of a BatchNormalization. */
function buildSmall(network: Network, image: Feature, classes: number): void {
  let x = features(network, image, vgg19, (y, out, next) =>
    network.relu(convolution(network, y, next(), next(), { out, kernel: 3 }), next()),
  );
  x = network.flatten(x);
  x = network.relu(network.linear(x, 'classifier.1', 512), 'classifier.2');
  x = network.relu(network.linear(x, 'classifier.4', 512), 'classifier.5');
  network.classifier(x, 'classifier.6', classes);
}

/** The convolutions, each emitted by `layer` with the paths of its modules, and a max pooling behind every stage. */
function features(
  network: Network,
  image: Feature,
  stages: Stages,
  layer: (x: Feature, out: number, next: () => string) => Feature,
): Feature {
  let module = 0;
  const next = (): string => `features.${module++}`;
  return stages.reduce((x, stage) => {
    const y = stage.reduce((z, out) => layer(z, out, next), x);
    return network.maxPool(y, next(), { kernel: 2, stride: 2 });
  }, image);
}

/**
 * Adaptive average pooling to 7×7 where ONNX has an operator for it: all windows alike. Features of less than 7×7
 * (images below 224) go to the classifier as they are.
 */
function pool(network: Network, x: Feature, imageSize: number, name: string): Feature {
  const { side } = x;
  if (side <= pooledSide) return x;
  const start = (index: number): number => Math.floor((index * side) / pooledSide);
  const end = (index: number): number => Math.ceil(((index + 1) * side) / pooledSide);
  const stride = start(1);
  const kernel = end(0);
  for (let index = 0; index < pooledSide; index++) {
    if (start(index) === index * stride && end(index) === index * stride + kernel) continue;
    throw new LowrankError('USAGE', `features of ${side}×${side} do not average to ${pooledSide}×${pooledSide}`, {
      place: `${name}, image size ${imageSize}`,
      remedy: 'choose an image size up to 287, or one of 448 to 511',
    });
  }
  return network.averagePool(x, 'avgpool', { kernel, stride });
}
