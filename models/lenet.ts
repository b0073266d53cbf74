import type { Architecture } from './architecture.js';
import type { Feature, Network } from './network.js';

/**
 * `lenet5` is LeNet-5 (LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document recognition, 1998) as it is
 * usually rebuilt: tanh, average pooling without weights, full connections between all maps, and a linear last layer.
 * The paper pads MNIST's 28×28 digits to 32×32; here the first convolution pads by 2. `lenet5_caffe` is the wider network that
 * Caffe's example made of it, with max pooling and without padding, and a ReLU behind every layer but the last, as in the tables
 * of dynamical low-rank training (arXiv 2205.13571); Caffe's own has one behind the first dense layer alone.
 */
export const lenets: readonly Architecture[] = [
  { name: 'lenet5', imageSize: 28, numClasses: 10, inChannels: 1, normalization: null, minImageSize: 12, build },
  {
    ...{ name: 'lenet5_caffe', imageSize: 28, numClasses: 10, inChannels: 1, normalization: null, minImageSize: 16 },
    build: buildCaffe,
  },
];

const halve = { kernel: 2, stride: 2 };

function build(network: Network, image: Feature, classes: number): void {
  let x = network.conv(image, 'conv1', { out: 6, kernel: 5, bias: true });
  x = network.averagePool(network.tanh(x, 'tanh'), 'pool', halve);
  x = network.conv(x, 'conv2', { out: 16, kernel: 5, padding: 0, bias: true });
  x = network.averagePool(network.tanh(x, 'tanh'), 'pool', halve);
  x = network.flatten(x);
  x = network.tanh(network.linear(x, 'fc1', 120), 'tanh');
  x = network.tanh(network.linear(x, 'fc2', 84), 'tanh');
  network.classifier(x, 'fc3', classes);
}

function buildCaffe(network: Network, image: Feature, classes: number): void {
  let x = network.conv(image, 'conv1', { out: 20, kernel: 5, padding: 0, bias: true });
  x = network.maxPool(network.relu(x, 'relu'), 'pool', halve);
  x = network.conv(x, 'conv2', { out: 50, kernel: 5, padding: 0, bias: true });
  x = network.flatten(network.maxPool(network.relu(x, 'relu'), 'pool', halve));
  x = network.relu(network.linear(x, 'fc1', 500), 'relu');
  network.classifier(x, 'fc2', classes);
}
