import type { Architecture } from './architecture.js';
import type { Feature, Network } from './network.js';

/**
 * A perceptron of dense layers with ReLU between them, on the pixels of the image in a row; the last one has the classes. As in
 * the tables of dynamical low-rank training (arXiv 2205.13571): 784 pixels, hidden layers of 500 or 784 units each.
 */
export const perceptrons: readonly Architecture[] = [
  {
    ...{ name: 'mlp', imageSize: 28, numClasses: 10, inChannels: 1, normalization: null, minImageSize: 1 },
    hidden: [500, 500],
    build,
  },
];

function build(network: Network, image: Feature, classes: number, hidden: readonly number[]): void {
  let x = network.flatten(image);
  hidden.forEach((units, index) => {
    x = network.relu(network.linear(x, `fc${index + 1}`, units), 'relu');
  });
  network.classifier(x, `fc${hidden.length + 1}`, classes);
}
