import { availableParallelism } from 'node:os';
import { LowrankError, messageOf, throwIfAborted } from '../errors.js';
import type { Linalg, Matrix } from '../linalg/types.js';
import { DOUBLE, FLOAT } from '../onnx/data-type.js';
import { Tensor } from '../onnx/tensor.js';
import type { Scheme } from '../contracts/convert.js';
import { dataErrorOf, meanError } from './calibration/data-error.js';
import { orderData } from './calibration/scheme-order.js';
import type { LayerData } from './calibration/types.js';
import { type Balance, balanceActivations } from './balance.js';
import type { Candidate } from './candidates.js';
import { errorsOf, type FunctionRisk, functionRisk, type PairErrors } from './function-error.js';
import { matrixShape } from '../rewrite/geometry.js';
import { inits } from './inits/index.js';
import type { KnownFits, RatedFit } from './known-fits.js';
import { singularValuesOfGroups } from '../rewrite/group-spectrum.js';
import { isOutputMajor, joinGroups, splitGroups, toMatrices } from '../rewrite/layout.js';
import type { Plan, Trial } from './plan-types.js';
import { sampledFunctionError } from './sampled/error.js';
import type { SampledContext } from './sampled/fit-pair.js';
import { fitTucker, type TuckerModes } from './tucker.js';
import { modesOf, type TuckerSettings, tuckerTrial } from './tucker-trials.js';
import type { FittedPair, InitName, InitProblem } from './types.js';
import type { FactorPair } from '../rewrite/types.js';

/** A pair fitted to a candidate's weight, with its errors. */
export interface Fit {
  readonly candidate: Candidate;
  readonly scheme: Scheme;
  readonly rank: number;
  /** Of a Tucker pair: what lies behind its first factor. */
  readonly inner?: number | undefined;
  readonly pair: FactorPair;
  /** ‖Ŵ−W‖_F / ‖W‖_F. */
  readonly weightError: number;
  /** sqrt(E‖σ(Ŵx)−σ(Wx)‖² / E‖σ(Wx)‖²), x ~ N(0, I). */
  readonly functionError: number;
  /** sqrt(E‖Ŵx + shift − Wx‖² / E‖Wx‖²) on calibration images; undefined where there is no data. */
  readonly dataError?: number | undefined;
  /** Added to what the pair computes, a number for each neuron. */
  readonly shift?: Float32Array | undefined;
  readonly seconds: number;
  readonly note: string;
  /** What a user should know of it, naming the layer. */
  readonly warnings?: readonly string[];
}

export interface FitContext {
  readonly linalg: Linalg;
  readonly init: InitName;
  readonly seed: number;
  /** Default `weight`. */
  readonly balance?: Balance;
  /** How the inits that sample run. */
  readonly sampled?: Pick<SampledContext, 'settings' | 'driver' | 'session' | 'tensorFlow'> | undefined;
  /** Default: pairs of two factors alone. */
  readonly tucker?: TuckerSettings | undefined;
  /** The weight of a candidate; default: as the model has it. */
  readonly weightOf?: (candidate: Candidate) => Float32Array;
  /** Pairs that the initialization fitted before, with the same data and seed; those that it fits are put there. */
  readonly knownFits?: KnownFits | undefined;
  /** Pairs that are there already, only to be measured; default: the initialization fits them. */
  readonly pairOf?: (candidate: Candidate) => FactorPair;
  /** What calibration images tell of a candidate, patches in the order (in·kh + y)·kw + x. */
  readonly dataOf?: (candidate: Candidate) => LayerData | undefined;
  /** Called with work units (rows · cols · rank): proportional to time. */
  readonly onProgress?: (done: number, total: number, detail: string) => void;
  /** Asks for the leading singular values of each factorized weight, for charts. */
  readonly onSpectrum?: ((layer: string, spectrum: FittedSpectrum) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Singular values of the matrix of the chosen scheme, largest first. */
export interface FittedSpectrum {
  readonly singularValues: readonly number[];
  readonly rank: number;
}

type FittedPlan = Extract<Plan, { trials: readonly unknown[] }>;

/** Elements of weights that may be in work at a time. */
const largestLoad = 32e6;
const mostAtOnce = 4;
/** Share of a pair's error that a Tucker pair may have at most to be taken. */
const clearly = 0.97;

/** Work units of the fits of these plans. */
export function workOf(plans: readonly Plan[]): number {
  return plans.reduce((sum, { candidate, trials }) => {
    const own = (trials ?? []).map(({ scheme, rank }) => {
      const { rows, cols } = matrixShape(candidate.layer.geometry, scheme);
      return rows * cols * (rank + 16);
    });
    return own.reduce((all, each) => all + each, sum);
  }, 0);
}

/**
 * Fits every plan's pair; where a plan has several trials, the one with the smallest error is taken: what the initialization
 * minimizes on calibration images where it does, otherwise the function error. Layers are
 * worked on side by side as far as memory allows: one waits for its small dense problem while another multiplies.
 * Throws NUMERIC, naming the layer, where a weight is not finite.
 */
export async function fitPlans(plans: readonly Plan[], context: FitContext): Promise<Fit[]> {
  const work = plans.filter((plan): plan is FittedPlan => plan.trials !== null);
  const total = workOf(work);
  const shared = { ...context, sampled: withThreads(context.sampled, Math.min(mostAtOnce, work.length)) };
  let done = 0;
  const fits = new Map<FittedPlan, Fit>();
  // Large layers first: the small ones then fill the gaps.
  const queue = [...work].sort((a, b) => workOf([b]) - workOf([a]));
  const running = new Set<Promise<void>>();
  let load = 0;
  try {
    for (const plan of queue) {
      const size = plan.candidate.layer.weight.tensor.size;
      while (running.size > 0 && (running.size >= mostAtOnce || load + size > largestLoad)) await Promise.race(running);
      throwIfAborted(context.signal);
      load += size;
      const task = fitPlan(plan, shared).then((fit) => {
        fits.set(plan, fit);
        load -= size;
        done += workOf([plan]);
        context.onProgress?.(done, total, plan.candidate.layer.label);
      });
      const tracked = task.finally(() => running.delete(tracked));
      running.add(tracked);
    }
    await Promise.all(running);
  } catch (error) {
    // Let the others end before the caller closes what they work with.
    await Promise.allSettled(running);
    throw error;
  }
  return work.map((plan) => fits.get(plan)!);
}

/** The threads of onnxruntime shared out among the layers that are fitted side by side. */
function withThreads(sampled: FitContext['sampled'], layers: number): FitContext['sampled'] {
  const all = sampled?.session?.threads ?? availableParallelism();
  const threads = Math.max(1, Math.floor(all / Math.max(1, layers)));
  return { ...sampled, session: { ...sampled?.session, threads } };
}

async function fitPlan(plan: FittedPlan, context: FitContext): Promise<Fit> {
  const started = performance.now();
  const { candidate } = plan;
  const { layer } = candidate;
  const { scratch } = context.linalg;
  const stored = scratch.take32(1, layer.weight.tensor.size);
  const arranged = scratch.take32(1, layer.weight.tensor.size);
  const stored32 = context.weightOf?.(candidate) ?? layer.weight.data(stored.data);
  refuseNonFinite(stored32, layer.label);
  const outputMajor = isOutputMajor(layer.form, layer.node.int('transB', 0));
  const arrange = ({ scheme }: Pick<Trial, 'scheme'>): readonly Matrix[] =>
    toMatrices(stored32, layer.geometry, scheme, outputMajor, arranged.data);
  const known = context.pairOf === undefined ? context.knownFits : undefined;
  const rated: RatedFit[] = [];
  const moments = inits[context.init].needs === undefined ? undefined : context.dataOf?.(candidate)?.moments;
  const modes = modesOf(candidate, () => arrange({ scheme: 'tucker' })[0]!, context, moments);
  const fit = async (trial: Trial): Promise<void> => {
    throwIfAborted(context.signal);
    const own = known?.get(layer.name, trial) ?? (await fitTrial(candidate, trial, arrange(trial), modes, context));
    known?.put(layer.name, own);
    rated.push(own);
  };
  const tucker = context.tucker === undefined ? undefined : await tuckerTrial(plan, context.tucker, modes);
  if (tucker !== undefined && context.tucker!.use === 'only') await fit(tucker);
  else for (const trial of plan.trials) await fit(trial);
  const errors = rated.map(({ weightError, dataError }) => (moments === undefined ? weightError : dataError!));
  if (context.tucker?.use === 'also' && tucker !== undefined && tucker.loss < Math.min(...errors)) await fit(tucker);
  const { rating: _, ...best } = rated.reduce((least, own) => (isClearlyBetter(own, least) ? own : least));
  const seconds = (performance.now() - started) / 1000;
  if (context.onSpectrum !== undefined) {
    const values = await singularValuesOfGroups(arrange(best), context.linalg, context.signal);
    context.onSpectrum(layer.name, { singularValues: [...values], rank: best.rank });
  }
  scratch.give(stored, arranged);
  const warnings = rated.flatMap((fit) => fit.warnings ?? []);
  return { ...best, candidate, note: plan.note, seconds, warnings };
}

/** A pair that was tried later is taken where it loses less; three factors, whose third costs time that MACs do not count, where clearly. */
function isClearlyBetter(fit: RatedFit, least: RatedFit): boolean {
  return fit.rating < (fit.inner === undefined ? 1 : clearly) * least.rating;
}

/** `weights` are those of the candidate's groups, as matrices of the trial's scheme. */
async function fitTrial(
  candidate: Candidate,
  { scheme, rank, inner }: Trial,
  weights: readonly Matrix[],
  modes: () => Promise<TuckerModes>,
  context: FitContext,
): Promise<RatedFit> {
  const { layer } = candidate;
  const warnings: string[] = [];
  const init = inits[context.init];
  const data = context.dataOf?.(candidate);
  const { rowsPerNeuron } = matrixShape(layer.geometry, scheme);
  const known = context.pairOf === undefined ? undefined : splitGroups(context.pairOf(candidate), weights.length);
  const problems = weights.map((weight) => ({
    weight,
    rowsPerNeuron,
    rank,
    activation: candidate.activation,
    seed: context.seed,
    linalg: context.linalg,
    signal: context.signal,
    sampled: {
      ...context.sampled,
      name: layer.name,
      activation: candidate.form,
      onWarning: (message: string) => void warnings.push(`layer '${layer.label}', ${scheme}: ${message}`),
    },
    data: data === undefined ? undefined : orderData(data, layer.geometry, scheme),
  }));
  const pairs: FactorPair[] = [];
  const risks: FunctionRisk[] = [];
  let loss: number | undefined;
  let onData: DataErrors = {};
  let errors: PairErrors;
  try {
    for (const [group, problem] of problems.entries()) {
      // Errors are those of what is written: factors in the element type of the weight.
      const fitted: FittedPair =
        known?.[group] ??
        (inner === undefined ? await init.fit(problem) : await fitTucker(init, problem, await modes(), inner));
      const isEven = context.balance === 'activation';
      const balanced = isEven ? balanceActivations(fitted, rowsPerNeuron, problem.data?.moments) : fitted;
      const pair = roundTo(balanced, layer.weight.dataType);
      pairs.push(pair);
      risks.push(await functionRisk(problem, pair));
      onData = await dataErrors(problem, pair, fitted, init.needs !== undefined);
      loss = weights.length === 1 ? fitted.loss : undefined;
    }
    errors = errorsOf(risks);
    if (candidate.form !== undefined) {
      const functionError = await sampledFunctionError(problems[0]!, pairs[0]!, candidate.form);
      errors = { ...errors, functionError };
    }
  } catch (cause) {
    if (cause instanceof LowrankError && cause.code !== 'NUMERIC' && cause.code !== 'INTERNAL') throw cause;
    throw new LowrankError('NUMERIC', `fitting failed: ${messageOf(cause)}`, {
      place: `layer '${layer.name}'`,
      remedy: `keep it with --exclude '${layer.name}'`,
      cause,
    });
  }
  const rating = loss ?? (init.needs === undefined ? undefined : onData.dataError) ?? errors.functionError;
  return { scheme, rank, inner, pair: joinGroups(pairs), ...errors, ...onData, rating, warnings };
}

type DataErrors = Pick<Fit, 'dataError' | 'shift'>;

/** Puts right what the pair changes in the mean, where the initialization fits real inputs and has not done so itself. */
async function dataErrors(
  problem: InitProblem,
  pair: FactorPair,
  fitted: FittedPair,
  isFittedToData: boolean,
): Promise<DataErrors> {
  const { data } = problem;
  if (data === undefined) return {};
  const isShifted = isFittedToData && data.hasBias;
  const shift = fitted.shift ?? (isShifted ? await meanError(problem, pair, data.moments) : undefined);
  return { shift, dataError: await dataErrorOf(problem, pair, shift, data.moments) };
}

function refuseNonFinite(data: Float32Array, name: string): void {
  // x − x is 0 for every finite number.
  let sum = 0;
  for (let i = 0; i < data.length; i++) sum += data[i]! - data[i]!;
  if (sum === 0) return;
  const at = data.findIndex((value) => !Number.isFinite(value));
  throw new LowrankError('NUMERIC', `weight element ${at} is ${data[at]}`, {
    place: `layer '${name}'`,
    remedy: `repair the model, or keep the layer with --exclude '${name}'`,
  });
}

/** The pair after a trip through another float type. */
function roundTo(pair: FactorPair, dataType: number): FactorPair {
  if (dataType === FLOAT || dataType === DOUBLE) return pair;
  const round = (matrix: Matrix): Matrix => ({
    ...matrix,
    data: Tensor.ofFloats('', [matrix.rows, matrix.cols], matrix.data, dataType).toFloat32(),
  });
  const { inner } = pair;
  return {
    left: round(pair.left),
    right: round(pair.right),
    ...(inner === undefined ? {} : { inner: { basis: round(inner.basis), core: round(inner.core) } }),
  };
}
