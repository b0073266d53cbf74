import { LowrankError, messageOf } from '../errors.js';
import type { Model } from '../graph/model.js';
import { readModel } from '../graph/read.js';
import { type RunnableModel, runnableModel } from '../graph/runnable.js';
import type { Value } from '../graph/value.js';
import { modelBytes } from '../graph/write.js';
import { isOverLimit } from '../limits.js';
import { FLOAT } from '../onnx/data-type.js';
import { inferShapes } from '../ops/infer.js';
import { sizeOf } from '../ops/support/layout.js';
import { toInferenceForm } from '../passes/inference-form.js';
import { fixInputs } from '../passes/fix-inputs.js';
import { notOpened, openBatch } from '../passes/open-batch.js';
import { fillNormal, randomStream } from '../random.js';
import type { Driver, RuntimeTensor, SessionOptions } from '../runtime/types.js';
import { toNumbers } from './samples.js';
import { runReference } from './verify.js';

export interface CheckOpeningOptions {
  readonly driver: Driver;
  readonly session: SessionOptions;
  /** Of one image, where the model leaves them open. */
  readonly imageDims?: readonly number[] | undefined;
  /** Values of inputs that are no images: see `fixInputs`. */
  readonly inputs?: readonly string[] | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Batches of the original that the opened model is given as one. */
const batches = 3;

/** Share of the largest output by which the two may differ; more only where the original itself is as sensitive. */
const tolerance = 1e-3;

/** By so much images are scaled to see how sensitive the original is, and so many times that it may be. */
const [nudge, mostNudges] = [1 + 2 ** -20, 10];

/**
 * Whether a model whose batch `openBatch` opened computes of several random images, in another order, what it computed of
 * them in batches of its own: run by onnxruntime, both in inference form. Gives why it does not; undefined where it does,
 * and where nothing was opened. Throws RUNTIME where a run takes more than it may, ABORTED.
 */
export async function checkOpening(
  source: string | Uint8Array,
  { driver, session, imageDims, inputs, signal }: CheckOpeningOptions,
): Promise<LowrankError | undefined> {
  const model = readModel(source);
  try {
    fixInputs(model, inputs, true);
    const images = fixedImages(model);
    if (images === undefined) return undefined;
    const [batch, ...dims] = imagesOf(model, images, imageDims);
    toInferenceForm(model);
    const original = runnable(model);
    const bound = { inputShapes: { [images.name]: [batch!, ...dims] } };
    const why = openBatch(model, images, bound);
    if (why !== undefined) return why;
    const opened = runnable(model);
    const size = sizeOf(dims);
    const count = batches * batch!;
    const data = new Float32Array(count * size);
    fillNormal(randomStream(0, 'check-opening'), data, 0);
    const feed = (elements: Float32Array, number: number): Readonly<Record<string, RuntimeTensor>> => ({
      [images.name]: { type: 'float32', dims: [number, ...dims], data: elements },
    });
    const apart = (factor: number): Readonly<Record<string, RuntimeTensor>>[] =>
      Array.from({ length: batches }, (_, i) =>
        feed(
          data.slice(i * batch! * size, (i + 1) * batch! * size).map((x) => x * factor),
          batch!,
        ),
      );
    const run = (what: RunnableModel, feeds: readonly Readonly<Record<string, RuntimeTensor>>[]) =>
      runReference(driver, what, feeds, session, signal);
    const names = model.graph.outputs.map(({ name }) => name);
    const rowsOf = (results: readonly Readonly<Record<string, RuntimeTensor>>[]): number[][] =>
      names.map((name) => results.flatMap((result) => [...toNumbers(result[name]!)]));
    const one = rowsOf(await run(original, apart(1)));
    const together = await run(opened, [feed(reversed(data, count), count)]);
    const many = rowsOf(together).map((row) => Array.from(reversed(Float64Array.from(row), count)));
    const difference = furthest(one, many);
    if (difference <= tolerance) return undefined;
    const noise = furthest(one, rowsOf(await run(original, apart(nudge))));
    if (difference <= mostNudges * noise) return undefined;
    return new LowrankError(
      'UNSUPPORTED',
      `with an open batch its outputs are others (by ${difference.toPrecision(2)})`,
    );
  } catch (error) {
    if (!(error instanceof LowrankError) || error.code !== 'RUNTIME' || isOverLimit(error)) throw error;
    return new LowrankError('UNSUPPORTED', `onnxruntime refuses it with an open batch: ${messageOf(error)}`);
  } finally {
    model.file?.close();
  }
}

/** Throws UNSUPPORTED where `checkOpening` says that the batch is not to be opened. */
export async function requireOpening(source: string | Uint8Array, options: CheckOpeningOptions): Promise<void> {
  const obstacle = await checkOpening(source, options);
  if (obstacle !== undefined) throw notOpened(obstacle);
}

/** The input of a model for one fixed number of float32 images. */
export function fixedImages({ graph }: Model): Value | undefined {
  const [images, ...others] = graph.inputs.filter(({ tensor }) => tensor === undefined);
  const { dataType, dims } = images?.declared ?? {};
  return others.length === 0 && dataType === FLOAT && typeof dims?.[0] === 'number' ? images : undefined;
}

function imagesOf(model: Model, images: Value, given: readonly number[] | undefined): readonly number[] {
  const [batch, ...dims] = inferShapes(model).require(images).dims;
  return [batch!, ...(given ?? dims)];
}

/** External data are of the file: its graph is not the one asked for. */
function runnable(model: Model): RunnableModel {
  return model.file?.external.isUsed === true ? { model: modelBytes(model) } : runnableModel(model);
}

/** `count` equal parts, the last first. */
function reversed<Data extends Float32Array | Float64Array>(data: Data, count: number): Data {
  const result = data.slice() as Data;
  const size = data.length / count;
  for (let i = 0; i < count; i++) result.set(data.subarray(i * size, (i + 1) * size), (count - 1 - i) * size);
  return result;
}

/** The largest difference of two outputs, as a share of the largest element; infinite where one is a number and the other is not. */
function furthest(expected: readonly (readonly number[])[], given: readonly (readonly number[])[]): number {
  const shares = expected.map((row, i) => {
    const other = given[i]!;
    if (row.length !== other.length) return Infinity;
    let [largest, difference] = [0, 0];
    row.forEach((x, at) => {
      const y = other[at]!;
      if (Object.is(x, y)) return;
      const apart = Math.abs(x - y);
      difference = Math.max(difference, Number.isNaN(apart) ? Infinity : apart);
      largest = Math.max(largest, Math.abs(x));
    });
    return difference === 0 ? 0 : difference / Math.max(largest, Number.MIN_VALUE);
  });
  return Math.max(0, ...shares);
}
