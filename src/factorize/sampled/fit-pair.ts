import { adamRateTables } from '../../autodiff/adam-step.js';
import { loadDriver } from '../../runtime/driver.js';
import { misplaced } from '../../runtime/placement.js';
import type { TensorFlow } from '../../runtime/tensorflow.js';
import type { Driver, RuntimeTensor, SessionOptions } from '../../runtime/types.js';
import { fittingSession } from '../fitting-session.js';
import type { InitProblem } from '../types.js';
import type { FactorPair } from '../../rewrite/types.js';
import { type ActivationForm, formOf } from './activation-form.js';
import { fitInTensorFlow } from './fit-in-tensorflow.js';
import type { FitEnd, FitRun } from './fit-run.js';
import { layerFeeds, sizesOf } from './layer.js';
import { adam, buildFitLoop } from './loop.js';
import { riseOf } from './losses.js';
import { checkFitSettings, defaultFitSettings, type FitSettings, rateFactors } from './settings.js';
import { gaussianSource, type SampleSource } from './source.js';

/** What sampled fits work with; everything has a default. */
export interface SampledContext {
  readonly settings?: Partial<FitSettings> | undefined;
  /** Default: `loadDriver`. */
  readonly driver?: Driver | undefined;
  /** Where the loop runs; default: the CPU, all cores. */
  readonly session?: SessionOptions | undefined;
  /** Runs the fits in the place of onnxruntime. */
  readonly tensorFlow?: TensorFlow | undefined;
  /** The layer's activation where it has no closed forms; default: that of the problem. */
  readonly activation?: ActivationForm | undefined;
  /** Where inputs come from; default: N(0, I). */
  readonly source?: SampleSource | undefined;
  /** Tells layers apart that are fitted with the same seed. */
  readonly name?: string | undefined;
  /** Called with what a user should know; names no layer. */
  readonly onWarning?: ((message: string) => void) | undefined;
}

/**
 * The pair after Adam on sampled inputs, from `start`: arXiv 2202.00834, the loop of Algorithms 1 and 2. Deterministic on
 * the CPU. Where it ends in numbers that are not finite, `start` is given back with a
 * warning. `relativeRate` times the root mean square of the start's entries is the learning rate where none is given.
 * Throws RUNTIME, DEVICE or ABORTED.
 */
export async function fitPairBySampling(
  problem: InitProblem,
  start: FactorPair,
  relativeRate: number,
): Promise<FactorPair> {
  const { seed } = problem;
  const context = problem.sampled ?? {};
  const settings = { ...defaultFitSettings, ...context.settings };
  checkFitSettings(settings);
  const base = settings.learningRate ?? relativeRate * rootMeanSquare(start);
  const { steps, batch } = settings;
  const run: FitRun = {
    problem,
    start,
    source: context.source ?? gaussianSource(seed, context.name ?? ''),
    steps,
    batch,
    rates: rateFactors(settings).map((factor) => factor * base),
  };
  const { left, right, losses } = await fitInEngine(run, context);
  if (!isFinite(left) || !isFinite(right)) {
    const at = losses.findIndex((loss) => !Number.isFinite(loss));
    const where = at < 0 ? `the last of ${steps} steps` : `step ${at + 1} of ${steps}`;
    context.onWarning?.(
      `Adam left the finite numbers at ${where} (learning rate ${base.toPrecision(3)}): the pair it started from is kept; lower --fit-lr`,
    );
    return start;
  }
  const rise = riseOf(losses);
  if (rise !== undefined) {
    const [first, last] = [rise.first.toPrecision(3), rise.last.toPrecision(3)];
    context.onWarning?.(
      `Adam ended with a squared error of ${last}, above the ${first} that it began with (learning rate ${base.toPrecision(3)}): lower --fit-lr`,
    );
  }
  return { left: { ...start.left, data: left }, right: { ...start.right, data: right } };
}

async function fitInEngine(run: FitRun, context: SampledContext): Promise<FitEnd> {
  const { tensorFlow, activation: form } = context;
  if (tensorFlow !== undefined && form === undefined) return fitInTensorFlow(run, tensorFlow);
  if (tensorFlow !== undefined) {
    context.onWarning?.(
      `the activation ${form!.name} is not in the table of the engine tfjs: onnxruntime fitted this layer`,
    );
  }
  return fitInOnnxruntime(run, form ?? formOf(run.problem.activation), context);
}

/**
 * One run of onnxruntime for all steps: the weight, the pair and its moments cross to the device once, the fitted pair and the
 * losses of all steps come back once. Throws RUNTIME, DEVICE or ABORTED.
 */
async function fitInOnnxruntime(run: FitRun, activation: ActivationForm, context: SampledContext): Promise<FitEnd> {
  const { problem, start, source, steps, batch, rates } = run;
  const driver = context.driver ?? (await loadDriver());
  const model = buildFitLoop({ sizes: sizesOf(problem), activation, source, steps, batch });
  const options = fittingSession(context.session);
  const session = await driver.createSession(model, options);
  const fact = misplaced(session, options.device ?? 'cpu', 'the loop that fits the pair');
  if (fact !== undefined) context.onWarning?.(fact);
  try {
    const feeds: Record<string, RuntimeTensor> = {
      ...layerFeeds(problem, start),
    };
    for (const [name, data] of Object.entries(adamRateTables(adam, rates))) {
      feeds[name] = { type: 'float32', dims: [steps], data };
    }
    for (const [name, value] of Object.entries(source.tensors)) feeds[`sample.${name}`] = value;
    const results = await session.run(feeds, undefined, { signal: problem.signal });
    const numbers = (name: string): Float32Array => results[name]!.data as Float32Array;
    return { left: numbers('fittedLeft'), right: numbers('fittedRight'), losses: numbers('losses') };
  } finally {
    await session.close();
  }
}

function rootMeanSquare({ left, right }: FactorPair): number {
  let sum = 0;
  for (const { data } of [left, right]) for (const x of data) sum += x * x;
  return Math.sqrt(sum / (left.data.length + right.data.length));
}

function isFinite(data: Float32Array): boolean {
  // x − x is 0 for every finite number.
  let sum = 0;
  for (let i = 0; i < data.length; i++) sum += data[i]! - data[i]!;
  return sum === 0;
}
