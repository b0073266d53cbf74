import type { Architecture } from './architecture.js';
import type { Feature, Network } from './network.js';
import { basicBlock, convolution } from './resnet.js';

interface Depth {
  /** Basic blocks of each of the three stages. */
  readonly blocks: number;
  readonly hasBatchNorm: boolean;
}

/**
 * He, Zhang, Ren, Sun: Deep residual learning for image recognition (arXiv 1512.03385), section 4.2: 6n + 2 layers. The
 * variants without BatchNormalization have a bias in every convolution instead.
 */
const depths: Readonly<Record<string, Depth>> = {
  resnet8_cifar: { blocks: 1, hasBatchNorm: true },
  resnet20_cifar: { blocks: 3, hasBatchNorm: true },
  resnet8_cifar_nobn: { blocks: 1, hasBatchNorm: false },
  resnet20_cifar_nobn: { blocks: 3, hasBatchNorm: false },
};

/**
 * ResNets for images of 32×32 pixels. Where the shape changes the shortcut is a 1×1 projection (the paper's option B, as in
 * MLPerf Tiny's ResNet-8), so that every layer is one that can be factorized; the paper's own CIFAR models have option A,
 * zeros in the new channels.
 */
export const cifarResnets: readonly Architecture[] = Object.entries(depths).map(([name, depth]) => ({
  name,
  imageSize: 32,
  numClasses: 10,
  inChannels: 3,
  normalization: 'cifar10',
  minImageSize: 1,
  build: (network, image, classes) => build(network, image, classes, depth),
}));

function build(network: Network, image: Feature, classes: number, { blocks, hasBatchNorm }: Depth): void {
  const scale = 1 / Math.sqrt(3 * blocks);
  const stem = { out: 16, kernel: 3 };
  let x = network.relu(convolution(network, image, 'conv1', 'bn1', stem, hasBatchNorm), 'relu');
  for (let stage = 0; stage < 3; stage++) {
    for (let index = 0; index < blocks; index++) {
      const stride = stage > 0 && index === 0 ? 2 : 1;
      x = basicBlock(network, x, `layer${stage + 1}.${index}`, 16 * 2 ** stage, stride, scale, hasBatchNorm);
    }
  }
  x = network.flatten(network.globalAveragePool(x, 'avgpool'));
  network.classifier(x, 'fc', classes);
}
