import type { Architecture } from './architecture.js';
import type { ConvOptions, Feature, Network } from './network.js';

/** PyTorch's defaults. */
export const batchNorm = { epsilon: 1e-5, momentum: 0.9 };

interface Depth {
  readonly kind: 'basic' | 'bottleneck';
  /** Blocks of the four stages. */
  readonly blocks: readonly [number, number, number, number];
}

/** He, Zhang, Ren, Sun: Deep residual learning for image recognition (arXiv 1512.03385), table 1. */
const depths: Readonly<Record<string, Depth>> = {
  resnet18: { kind: 'basic', blocks: [2, 2, 2, 2] },
  resnet34: { kind: 'basic', blocks: [3, 4, 6, 3] },
  resnet50: { kind: 'bottleneck', blocks: [3, 4, 6, 3] },
  resnet101: { kind: 'bottleneck', blocks: [3, 4, 23, 3] },
  resnet152: { kind: 'bottleneck', blocks: [3, 8, 36, 3] },
};

/**
 * ResNets as torchvision builds them: the paper's, with the stride of a bottleneck in its 3×3 convolution ("v1.5").
 * The last convolution of each residual branch is scaled by 1/√blocks, so that the sum of all branches has the variance
 * of one. `resnet18_cifar` is the one that papers train on CIFAR: the same four stages behind a stem for small images.
 */
export const resnets: readonly Architecture[] = [
  ...Object.entries(depths).map(([name, depth]): Architecture => ({
    name,
    imageSize: 224,
    numClasses: 1000,
    inChannels: 3,
    normalization: 'imagenet',
    minImageSize: 1,
    build: (network, image, classes) => build(network, stem(network, image), classes, depth),
  })),
  {
    ...{ name: 'resnet18_cifar', imageSize: 32, numClasses: 10, inChannels: 3, minImageSize: 1 },
    normalization: 'cifar10',
    build: (network, image, classes) => build(network, smallStem(network, image), classes, depths['resnet18']!),
  },
];

/** To a quarter of the side. */
function stem(network: Network, image: Feature): Feature {
  const x = convolution(network, image, 'conv1', 'bn1', { out: 64, kernel: 7, stride: 2 });
  return network.maxPool(network.relu(x, 'relu'), 'maxpool', { kernel: 3, stride: 2, padding: 1 });
}

/** For images of 32×32 pixels: a 3×3 convolution that leaves the side as it is, and no pooling. */
function smallStem(network: Network, image: Feature): Feature {
  return network.relu(convolution(network, image, 'conv1', 'bn1', { out: 64, kernel: 3 }), 'relu');
}

function build(network: Network, features: Feature, classes: number, { kind, blocks }: Depth): void {
  const scale = 1 / Math.sqrt(blocks.reduce((sum, count) => sum + count));
  const block = kind === 'basic' ? basicBlock : bottleneck;
  let x = features;
  blocks.forEach((count, stage) => {
    for (let index = 0; index < count; index++) {
      const stride = stage > 0 && index === 0 ? 2 : 1;
      x = block(network, x, `layer${stage + 1}.${index}`, 64 * 2 ** stage, stride, scale);
    }
  });
  x = network.flatten(network.globalAveragePool(x, 'avgpool'));
  network.classifier(x, 'fc', classes);
}

/** A convolution and its BatchNormalization; without one, the convolution has a bias. */
export function convolution(
  network: Network,
  x: Feature,
  path: string,
  normPath: string,
  options: ConvOptions,
  hasBatchNorm = true,
): Feature {
  if (!hasBatchNorm) return network.conv(x, path, { ...options, bias: true });
  return network.batchNorm(network.conv(x, path, options), normPath, batchNorm);
}

/** Two 3×3 convolutions. */
export function basicBlock(
  network: Network,
  x: Feature,
  path: string,
  width: number,
  stride: number,
  scale: number,
  hasBatchNorm = true,
): Feature {
  const first = { out: width, kernel: 3, stride };
  const second = { out: width, kernel: 3, scale };
  let y = convolution(network, x, `${path}.conv1`, `${path}.bn1`, first, hasBatchNorm);
  y = network.relu(y, `${path}.relu`);
  y = convolution(network, y, `${path}.conv2`, `${path}.bn2`, second, hasBatchNorm);
  return join(network, x, y, path, stride, hasBatchNorm);
}

/** 1×1 to `width` channels, 3×3, 1×1 to four times as many. */
function bottleneck(network: Network, x: Feature, path: string, width: number, stride: number, scale: number): Feature {
  let y = network.conv(x, `${path}.conv1`, { out: width, kernel: 1 });
  y = network.relu(network.batchNorm(y, `${path}.bn1`, batchNorm), `${path}.relu`);
  y = network.conv(y, `${path}.conv2`, { out: width, kernel: 3, stride });
  y = network.relu(network.batchNorm(y, `${path}.bn2`, batchNorm), `${path}.relu`);
  y = network.conv(y, `${path}.conv3`, { out: 4 * width, kernel: 1, scale });
  y = network.batchNorm(y, `${path}.bn3`, batchNorm);
  return join(network, x, y, path, stride);
}

/** ReLU of the branch plus the shortcut: a 1×1 projection where the shape changes, the identity elsewhere. */
function join(
  network: Network,
  x: Feature,
  branch: Feature,
  path: string,
  stride: number,
  hasBatchNorm = true,
): Feature {
  let shortcut = x;
  if (stride !== 1 || x.channels !== branch.channels) {
    const projection = { out: branch.channels, kernel: 1, stride };
    const [conv, norm] = [`${path}.downsample.0`, `${path}.downsample.1`];
    shortcut = convolution(network, x, conv, norm, projection, hasBatchNorm);
  }
  return network.relu(network.add(shortcut, branch, path), `${path}.relu`);
}
