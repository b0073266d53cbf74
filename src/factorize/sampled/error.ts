import { Graph } from '../../graph/graph.js';
import type { Value } from '../../graph/value.js';
import { Emitter } from '../../ops/emitter.js';
import { loadDriver } from '../../runtime/driver.js';
import { fittingSession } from '../fitting-session.js';
import type { InitProblem } from '../types.js';
import type { FactorPair } from '../../rewrite/types.js';
import type { ActivationForm } from './activation-form.js';
import { declareLayer, emitPair, emitTeacher, fitModel, layerFeeds, opsetsFor, sizesOf } from './layer.js';
import { gaussianSource } from './source.js';

/** Inputs that an error is estimated from, unless they would take more than `largestBatch` numbers. */
const mostInputs = 4096;
const largestBatch = 8e6;

/**
 * sqrt(E‖σ(Ŵx) − σ(Wx)‖² / E‖σ(Wx)‖²) of an activation without closed forms, x ~ N(0, I), estimated from up to 4,096
 * inputs: ± 1 % or so. The same for the same seed.
 */
export async function sampledFunctionError(
  problem: InitProblem,
  pair: FactorPair,
  activation: ActivationForm,
): Promise<number> {
  const context = problem.sampled ?? {};
  const sizes = sizesOf(problem);
  const width = sizes.rowsPerNeuron * sizes.cols;
  const batch = Math.max(1, Math.min(mostInputs, Math.floor(largestBatch / width)));
  const opsets = opsetsFor(activation);
  const graph = new Graph('error');
  const e = new Emitter(graph, { opsets });
  const { teacher, left, right } = declareLayer(e, sizes);
  const source = gaussianSource(problem.seed, `error ${context.name ?? ''}`);
  const inputs = source.emit(e, { batch, width, step: e.ints([0], []), outer: () => teacher });
  const targets = emitTeacher(e, activation, inputs, teacher);
  const outputs = emitPair(e, { sizes, activation, batch }, inputs, left, right);
  const sumOfSquares = (x: Value): Value => e.reduceSum(e.mul(x, x), undefined, false);
  const [risk, scale] = [sumOfSquares(e.sub(outputs, targets)), sumOfSquares(targets)];
  for (const value of [risk, scale]) graph.addOutput(value, e.typeOf(value));
  const driver = context.driver ?? (await loadDriver());
  const session = await driver.createSession(fitModel(graph, opsets), fittingSession(context.session));
  try {
    const results = await session.run(layerFeeds(problem, pair), undefined, { signal: problem.signal });
    const numberOf = (value: Value): number => Number(results[value.name]!.data[0]);
    const [error, all] = [numberOf(risk), numberOf(scale)];
    return all === 0 ? (error === 0 ? 0 : Infinity) : Math.sqrt(error / all);
  } finally {
    await session.close();
  }
}
