import type { Architecture } from './architecture.js';
import type { BatchNormOptions, Feature, Network } from './network.js';

/** One stage of inverted residual blocks of EfficientNet-B0. */
interface Stage {
  readonly expansion: number;
  readonly kernel: number;
  readonly stride: number;
  readonly out: number;
  readonly blocks: number;
}

/** Tan, Le: EfficientNet (arXiv 1905.11946), table 1, stages 2 to 8. */
const stages: readonly Stage[] = [
  { expansion: 1, kernel: 3, stride: 1, out: 16, blocks: 1 },
  { expansion: 6, kernel: 3, stride: 2, out: 24, blocks: 2 },
  { expansion: 6, kernel: 5, stride: 2, out: 40, blocks: 2 },
  { expansion: 6, kernel: 3, stride: 2, out: 80, blocks: 3 },
  { expansion: 6, kernel: 5, stride: 1, out: 112, blocks: 3 },
  { expansion: 6, kernel: 5, stride: 2, out: 192, blocks: 4 },
  { expansion: 6, kernel: 3, stride: 1, out: 320, blocks: 1 },
];
const stemChannels = 32;

interface Scaling {
  readonly width: number;
  readonly depth: number;
  readonly imageSize: number;
}

/**
 * The multipliers published with the paper's code for b0 to b7, and with AdvProp (arXiv 1911.09665) for b8. b9 is not
 * published: ours takes the step from b7 to b8 once more (width + 0.2, depth + 0.5, 72 pixels).
 */
const scalings: readonly Scaling[] = [
  { width: 1.0, depth: 1.0, imageSize: 224 },
  { width: 1.0, depth: 1.1, imageSize: 240 },
  { width: 1.1, depth: 1.2, imageSize: 260 },
  { width: 1.2, depth: 1.4, imageSize: 300 },
  { width: 1.4, depth: 1.8, imageSize: 380 },
  { width: 1.6, depth: 2.2, imageSize: 456 },
  { width: 1.8, depth: 2.6, imageSize: 528 },
  { width: 2.0, depth: 3.1, imageSize: 600 },
  { width: 2.2, depth: 3.6, imageSize: 672 },
  { width: 2.4, depth: 4.1, imageSize: 744 },
];

/** torchvision's: PyTorch's defaults up to b4, TensorFlow's constants from b5 on. */
const smallBatchNorm: BatchNormOptions = { epsilon: 1e-5, momentum: 0.9 };
const largeBatchNorm: BatchNormOptions = { epsilon: 1e-3, momentum: 0.99 };

/** EfficientNets as torchvision builds them, without dropout and stochastic depth, which inference does not have. */
export const efficientnets: readonly Architecture[] = scalings.map((scaling, index) => ({
  name: `efficientnet_b${index}`,
  imageSize: scaling.imageSize,
  numClasses: 1000,
  inChannels: 3,
  normalization: 'imagenet',
  minImageSize: 1,
  build: (network, image, classes) =>
    build(network, image, classes, scaling, index < 5 ? smallBatchNorm : largeBatchNorm),
}));

/** The nearest multiple of 8, but not less than 0.9 of `channels`, and at least 8. */
export function scaleChannels(channels: number, width: number): number {
  const wanted = channels * width;
  const rounded = Math.max(8, Math.floor((wanted + 4) / 8) * 8);
  return rounded < 0.9 * wanted ? rounded + 8 : rounded;
}

function build(network: Network, image: Feature, classes: number, scaling: Scaling, batchNorm: BatchNormOptions): void {
  const { width, depth } = scaling;
  const counts = stages.map(({ blocks }) => Math.ceil(blocks * depth));
  // Each stage's first block changes the number of channels or the side and has no shortcut.
  const residuals = counts.reduce((sum, count) => sum + count - 1, 0);
  const scale = 1 / Math.sqrt(residuals);
  let x = network.conv(image, 'features.0.0', { out: scaleChannels(stemChannels, width), kernel: 3, stride: 2 });
  x = network.silu(network.batchNorm(x, 'features.0.1', batchNorm), 'features.0.2');
  stages.forEach((stage, index) => {
    const out = scaleChannels(stage.out, width);
    for (let block = 0; block < counts[index]!; block++) {
      const stride = block === 0 ? stage.stride : 1;
      const path = `features.${index + 1}.${block}`;
      x = invertedResidual(network, x, path, { ...stage, out, stride, scale, batchNorm });
    }
  });
  const last = `features.${stages.length + 1}`;
  x = network.conv(x, `${last}.0`, { out: 4 * x.channels, kernel: 1 });
  x = network.silu(network.batchNorm(x, `${last}.1`, batchNorm), `${last}.2`);
  x = network.flatten(network.globalAveragePool(x, 'avgpool'));
  network.classifier(x, 'classifier.1', classes);
}

interface BlockOptions {
  readonly expansion: number;
  readonly kernel: number;
  readonly stride: number;
  readonly out: number;
  /** Of the last convolution where the block has a shortcut. */
  readonly scale: number;
  readonly batchNorm: BatchNormOptions;
}

/** MBConv: expansion 1×1, depthwise k×k, squeeze-and-excitation, projection 1×1, all but the last with SiLU. */
function invertedResidual(network: Network, x: Feature, path: string, options: BlockOptions): Feature {
  const { kernel, stride, out, batchNorm } = options;
  const hasShortcut = stride === 1 && x.channels === out;
  let part = 0;
  const next = (): string => `${path}.block.${part++}`;
  let y = x;
  if (options.expansion !== 1) {
    const expansion = next();
    y = network.conv(y, `${expansion}.0`, { out: x.channels * options.expansion, kernel: 1 });
    y = network.silu(network.batchNorm(y, `${expansion}.1`, batchNorm), `${expansion}.2`);
  }
  const depthwise = next();
  y = network.conv(y, `${depthwise}.0`, { out: y.channels, kernel, stride, group: y.channels });
  y = network.silu(network.batchNorm(y, `${depthwise}.1`, batchNorm), `${depthwise}.2`);
  y = squeezeExcite(network, y, next(), Math.max(1, Math.floor(x.channels / 4)));
  const projection = next();
  y = network.conv(y, `${projection}.0`, { out, kernel: 1, scale: hasShortcut ? options.scale : 1 });
  y = network.batchNorm(y, `${projection}.1`, batchNorm);
  return hasShortcut ? network.add(x, y, path) : y;
}

/** Hu, Shen, Sun: Squeeze-and-excitation networks (arXiv 1709.01507), the dense layers as 1×1 convolutions. */
function squeezeExcite(network: Network, x: Feature, path: string, squeezed: number): Feature {
  let gate = network.globalAveragePool(x, `${path}.avgpool`);
  gate = network.conv(gate, `${path}.fc1`, { out: squeezed, kernel: 1, bias: true });
  gate = { ...network.silu(gate, `${path}.activation`), meanSquare: 1 };
  gate = network.conv(gate, `${path}.fc2`, { out: x.channels, kernel: 1, bias: true });
  return network.gate(x, network.sigmoid(gate, `${path}.scale_activation`), path);
}
