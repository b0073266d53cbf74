import { LowrankError } from '../../errors.js';
import { scalarFunction } from '../activations/scalar.js';
import { meanError } from '../calibration/data-error.js';
import { regularize } from '../calibration/regularize.js';
import type { LayerSamples } from '../calibration/types.js';
import type { FittedPair, Init, InitProblem } from '../types.js';
import { reducedRank } from './support/reduced-rank.js';
import { fitThrough, sampleLoss } from './support/fit-through.js';
import { dataOf } from './whitened.js';

/**
 * Low-rank function approximation on real inputs: the pair and bias that minimize E‖σ(P̂(x̂)) − σ(P(x))‖² over calibration
 * images, where P is the argument of the layer's activation in the original model and P̂ the same in the model whose earlier
 * layers are pairs already, so that the layer makes up for what those lost (the asymmetric reconstruction of Zhang, Zou, He
 * and Sun, "Accelerating Very Deep Convolutional Networks for Classification and Detection", arXiv 1505.06798, section
 * 3.3). Not theirs: right factors are those of reduced-rank regression on x̂, neurons weighted by what their outputs' errors
 * are worth behind the activation; left factors and bias then go down on the objective itself.
 */
export const lfaiData: Init = {
  name: 'lfai-data',
  summary: 'least error behind the activation on real inputs (--calibrate), layer after layer, with the bias',
  needs: 'sequence',
  fit: fitOnSamples,
};

async function fitOnSamples(problem: InitProblem): Promise<FittedPair> {
  const data = dataOf(problem);
  const { moments, sequential, hasBias } = data;
  if (sequential === undefined) throw new LowrankError('INTERNAL', 'a fit in sequence without samples');
  const { samples } = sequential;
  const worths = worth(samples);
  const plain = await reducedRank(problem, regularize(moments).second);
  const weighted = await reducedRank(weightedBy(problem, worths), regularize(sequential.moments).second);
  const start = { ...weighted, left: unweighted(weighted.left, worths, problem.rowsPerNeuron) };
  const fitted = await fitThrough(problem, samples, start, hasBias);
  // What `whitened` gives is the measure: never worse than that on these samples.
  const shift = hasBias ? await meanError(problem, plain, moments) : undefined;
  const loss = await sampleLoss(problem, samples, plain, shift);
  return fitted.loss <= loss ? fitted : { ...plain, shift, loss };
}

/** Neurons that hardly count are weighted by this fraction of the most, so that their rows stay defined. */
const smallestWorth = 1e-2;

/** What an error of a neuron's output is worth behind its activation: |a|·sqrt(E σ′(P)²). */
function worth({ activation, target, scale }: LayerSamples): Float64Array {
  const { slope } = scalarFunction(activation);
  const sums = new Float64Array(target.cols);
  for (let at = 0; at < target.data.length; at++) sums[at % target.cols]! += slope(target.data[at]!) ** 2;
  const values = sums.map((sum, i) => Math.abs(scale[i]!) * Math.sqrt(sum / Math.max(1, target.rows)));
  const largest = values.reduce((most, value) => Math.max(most, value), 0);
  return largest === 0 ? values.fill(1) : values.map((value) => Math.max(value / largest, smallestWorth));
}

function weightedBy(problem: InitProblem, worths: Float64Array): InitProblem {
  const { weight, rowsPerNeuron } = problem;
  const size = weight.cols * rowsPerNeuron;
  const data = weight.data.map((value, at) => value * worths[Math.floor(at / size)]!);
  return { ...problem, weight: { ...weight, data } };
}

function unweighted(left: FittedPair['left'], worths: Float64Array, rowsPerNeuron: number): FittedPair['left'] {
  const size = left.cols * rowsPerNeuron;
  return { ...left, data: left.data.map((value, at) => value / worths[Math.floor(at / size)]!) };
}
