import { copyNodes } from '../autodiff/copy-forward.js';
import { differentiate } from '../autodiff/differentiate.js';
import { LowrankError, throwIfAborted } from '../errors.js';
import type { Approximate, ApproximateContext } from './fit-whole.js';
import { riseOf } from '../factorize/sampled/losses.js';
import { rateFactors } from '../factorize/sampled/settings.js';
import { gaussianSource } from '../factorize/sampled/source.js';
import type { Model } from '../graph/model.js';
import type { Value } from '../graph/value.js';
import { modelBytes } from '../graph/write.js';
import { FLOAT } from '../onnx/data-type.js';
import { Tensor } from '../onnx/tensor.js';
import { sizeOf } from '../ops/support/layout.js';
import type { RuntimeTensor, Session } from '../runtime/types.js';
import { addInput, addOutput, emitted, type EmittedGraph, startGraph } from '../step/emitted.js';
import { flatten, layOut, lengthOf, unflatten } from '../step/flat.js';
import { type Parameter, type Prepared, prepareTraining } from '../step/prepare.js';
import { defaultGraphSettings, type GraphSettings } from '../step/settings.js';
import { buildUpdateGraph } from '../step/update-graph.js';

/** Adam and nothing else: no decay, no clipping. */
const settings: GraphSettings = { ...defaultGraphSettings, optimizer: 'adam', weightDecay: 0 };

/** Of the root mean square of all factors' entries: the first step's learning rate where none is given. */
const relativeRate = 0.005;

/**
 * Function approximation at initialization (arXiv 2202.00834, Definition 2.2), for `convert`: the factors of all pairs are
 * fitted at once by Adam on E‖f_{UV}(x) − f_W(x)‖², x ~ N(0, I) of the shape of an image, f the logits as the files infer
 * them (BatchNormalization by its running statistics). They start as what they are. Where a step ends in numbers that are
 * not finite, that start is kept, with a warning.
 * Throws UNSUPPORTED where a model is no float32 classifier of images that can be differentiated, RUNTIME, ABORTED.
 */
export function functionApproximation(): Approximate {
  return async (model, context) => {
    const options = { settings, imageDims: context.inputDims, limits: context.session.limits };
    const original = prepareTraining(context.original, options);
    try {
      const student = prepareTraining(modelBytes(model), options);
      const factors = factorsOf(student, context.factors);
      const started = gather(factors);
      const { parameters, losses } = await run(original, student, factors, started, context);
      if (parameters === undefined) {
        const where = `step ${losses.length} of ${context.fit.steps}`;
        return { warnings: [`fai left the finite numbers at ${where}: the truncated SVDs are kept; lower --fit-lr`] };
      }
      apply(model, factors, parameters);
      return { warnings: fallen(losses) };
    } finally {
      original.model.file?.close();
    }
  };
}

function factorsOf({ parameters }: Prepared, names: readonly string[]): Parameter[] {
  const wanted = new Set(names);
  const found = parameters.filter(({ name }) => wanted.delete(name));
  const [missing] = wanted;
  if (missing === undefined) return layOut(found);
  throw new LowrankError(
    'UNSUPPORTED',
    `the outputs do not depend on '${missing}' in a way that can be differentiated`,
    {
      place: `weight '${missing}'`,
      remedy: 'keep its layer with --exclude, or choose another --init',
    },
  );
}

function gather(factors: readonly Parameter[]): Float32Array {
  const all = new Float32Array(lengthOf(factors));
  for (const { value, offset } of factors) all.set(value.tensor!.toFloat32(), offset);
  return all;
}

function apply({ graph }: Model, factors: readonly Parameter[], parameters: Float32Array): void {
  for (const { name, shape, offset, size } of factors) {
    const data = parameters.slice(offset, offset + size);
    graph.setTensor(graph.value(name)!, Tensor.ofFloats(name, shape, data));
  }
}

/** A warning where the fit ended worse than it began. */
function fallen(losses: readonly number[]): string[] {
  const rise = riseOf(losses);
  if (rise === undefined) return [];
  const [first, last] = [rise.first.toPrecision(3), rise.last.toPrecision(3)];
  return [`fai ended with a squared error of ${last}, above the ${first} that it began with: lower --fit-lr`];
}

/**
 * parameters [P] → loss (float32 scalar, the mean over the batch of ‖f_{UV}(x) − f_W(x)‖²) and its gradient [P]; each run
 * draws its inputs anew.
 */
function buildApproximationGraph(
  original: Prepared,
  student: Prepared,
  factors: readonly Parameter[],
  { fit, seed }: Pick<ApproximateContext, 'fit' | 'seed'>,
): EmittedGraph {
  const { model, e } = startGraph('approximation', student.model.opsets, false);
  const { batch } = fit;
  const flat = addInput(e, 'parameters', FLOAT, [lengthOf(factors)]);
  const weights = unflatten(e, flat, factors);
  const source = gaussianSource(seed, 'whole model');
  const width = sizeOf(student.imageDims);
  const inputs = source.emit(e, { batch, width, step: e.ints([0], []), outer: () => flat });
  const images = e.reshape(inputs, [batch, ...student.imageDims]);
  const [targets] = copyNodes(
    e,
    { graph: original.model.graph, outputs: [original.logits] },
    new Map([[original.images, images]]),
  );
  const bindings = new Map<Value, Value>([[student.images, images]]);
  factors.forEach(({ value }, i) => bindings.set(value, weights[i]!));
  const first = e.graph.nodes.length;
  const [outputs] = copyNodes(e, { graph: student.model.graph, outputs: [student.logits] }, bindings);
  const forward = e.graph.nodes.slice(first);
  const difference = e.sub(outputs!, e.reshapeLike(targets!, outputs!));
  const squares = e.reduceSum(e.mul(difference, difference), undefined, false);
  const loss = e.emit('Mul', [squares, e.scalar(1 / batch)], {}, { name: 'loss' });
  const gradients = differentiate(e, forward, new Map([[outputs!, e.scale(difference, 2 / batch)]]), weights);
  const parts = weights.map((weight) => gradients.get(weight) ?? e.zerosLike(weight));
  const gradient = flatten(e, parts, 'gradient');
  for (const value of [loss, gradient]) addOutput(e, value);
  return emitted(model);
}

/** The parameters behind the last step; undefined where they are not finite. */
async function run(
  original: Prepared,
  student: Prepared,
  factors: readonly Parameter[],
  started: Float32Array,
  context: ApproximateContext,
): Promise<{ readonly parameters: Float32Array | undefined; readonly losses: readonly number[] }> {
  const { driver, session: sessionOptions, fit, signal, onProgress } = context;
  const length = started.length;
  const sum = started.reduce((total, x) => total + x * x, 0);
  const base = fit.learningRate ?? relativeRate * Math.sqrt(sum / Math.max(1, length));
  const rates = rateFactors(fit);
  const update = buildUpdateGraph({ parameters: factors, pairs: [] }, settings);
  const vector = (data: Float32Array): RuntimeTensor => ({ type: 'float32', dims: [data.length], data });
  const sessions: Session[] = [];
  const open = async (graph: EmittedGraph): Promise<Session> => {
    const session = await driver.createSession(graph.bytes(), sessionOptions);
    sessions.push(session);
    return session;
  };
  const losses: number[] = [];
  try {
    const gradientSession = await open(buildApproximationGraph(original, student, factors, context));
    const updateSession = await open(update);
    const { inputs, outputs } = update.interface;
    let parameters: Float32Array = started;
    let state: Float32Array = new Float32Array(update.stateLength);
    for (let step = 0; step < fit.steps; step++) {
      throwIfAborted(signal);
      onProgress?.(step, fit.steps);
      const found = await gradientSession.run({ parameters: vector(parameters) }, undefined, { signal });
      losses.push(Number(found['loss']!.data[0]));
      const moved = await updateSession.run(
        {
          [inputs.parameters]: vector(parameters),
          [inputs.gradient]: found['gradient']!,
          [inputs.state]: vector(state),
          [inputs.learningRate]: { type: 'float32', dims: [], data: Float32Array.of(rates[step]! * base) },
          [inputs.step]: { type: 'int64', dims: [], data: BigInt64Array.of(BigInt(step + 1)) },
        },
        undefined,
        { signal },
      );
      const norm = Number(moved[outputs.gradientNorm]!.data[0]);
      if (!Number.isFinite(losses.at(-1)) || !Number.isFinite(norm)) return { parameters: undefined, losses };
      parameters = moved[outputs.parameters]!.data as Float32Array;
      state = moved[outputs.state]!.data as Float32Array;
    }
    onProgress?.(fit.steps, fit.steps);
    return { parameters: parameters.every(Number.isFinite) ? parameters : undefined, losses };
  } finally {
    for (const session of sessions) await session.close();
  }
}
