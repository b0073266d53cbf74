import { throwIfAborted } from '../errors.js';
import type { EndKind } from '../passes/classifier-end.js';
import { fillWords, randomStream } from '../random.js';
import type { Agreement, ChangeUnit } from '../contracts/convert.js';
import type { Driver, ElementType, RuntimeTensor, SessionOptions } from '../runtime/types.js';
import type { CalibrationImages } from '../factorize/calibration/types.js';
import { tallyClasses } from '../evaluate/class-tally.js';
import { floatTypes, isOfClasses } from '../evaluate/output-types.js';
import { toNumbers } from '../rewrite/samples.js';

export type MeasuredAgreement = Omit<Agreement, 'advice'>;

export type OnImages = (done: number, total: number) => void;

export interface AgreementContext {
  /** How the first output ends: `endOfModel(model, shapes).kind`; undefined where it is of no classes (`hasClasses`). */
  readonly end: EndKind | undefined;
  readonly driver: Driver;
  readonly session: SessionOptions;
  /** Decides which numbers of large outputs are compared. */
  readonly seed: number;
  readonly signal: AbortSignal | undefined;
  /** Counts the images that went through the original. */
  readonly onImages?: OnImages | undefined;
}

export interface Judged {
  /** undefined where the outputs cannot be compared; `warnings` say why. */
  readonly agreement: MeasuredAgreement | undefined;
  readonly warnings: readonly string[];
}

/** What the original gives on images, for others to be compared with. */
export interface Judge {
  /** Runs a converted model on the images. Throws RUNTIME, ABORTED, and what reading the images throws. */
  measure(converted: string | Uint8Array, onImages?: OnImages): Promise<Judged>;
}

/** Numbers of one output that are compared, for each image; of larger outputs so many, drawn once. */
const mostCompared = 16_384;

/** One output of one run. */
interface Kept {
  readonly name: string;
  readonly type: ElementType;
  readonly dims: readonly number[];
  /** Whether it is [images, classes], maybe with axes of 1. */
  readonly isClasses: boolean;
  /** Of the numbers that are compared; undefined for all. */
  readonly positions: Int32Array | undefined;
  readonly values: Float64Array;
}

/**
 * Runs the original on all images, once, and keeps what is compared of its outputs of floats. `original` and the models that
 * are measured take batches as `images` gives them. Throws RUNTIME, ABORTED, and what reading the images throws.
 */
export async function openJudge(
  original: string | Uint8Array,
  images: CalibrationImages,
  context: AgreementContext,
): Promise<Judge> {
  const reference: (readonly Kept[])[] = [];
  await runOn(original, images, context, context.onImages, ({ outputs, size }) => {
    reference.push(
      outputs.map(({ name, isFirst, tensor }) =>
        keep(name, tensor, size, isFirst && context.end !== undefined, context.seed),
      ),
    );
  });
  return {
    measure: async (converted, onImages) => {
      const comparison = createComparison(context.end);
      await runOn(converted, images, context, onImages, ({ outputs, size, index }) => {
        comparison.add(reference[index]!, new Map(outputs.map(({ name, tensor }) => [name, tensor])), size);
      });
      return comparison.result(images.summary().data);
    },
  };
}

/** The change of the outputs in the unit that ranks are chosen by; undefined where it was not measured. */
export function measuredChange({ kl, outputs }: MeasuredAgreement, unit: ChangeUnit): number | undefined {
  if (unit === 'kl') return kl?.mean;
  return outputs.length === 0 ? undefined : outputs.reduce((sum, { relativeError }) => sum + relativeError ** 2 / 2, 0);
}

interface Ran {
  readonly index: number;
  readonly size: number;
  readonly outputs: readonly { readonly name: string; readonly isFirst: boolean; readonly tensor: RuntimeTensor }[];
}

async function runOn(
  model: string | Uint8Array,
  images: CalibrationImages,
  { driver, session: options, signal }: AgreementContext,
  onImages: OnImages | undefined,
  use: (ran: Ran) => void,
): Promise<void> {
  const session = await driver.createSession(model, options);
  try {
    const compared = session.outputs.filter(({ type }) => floatTypes.has(type)).map(({ name }) => name);
    if (compared.length === 0) return;
    let done = 0;
    let index = 0;
    for await (const { feeds, size } of images.batches()) {
      throwIfAborted(signal);
      if (size === 0) continue;
      const tensors = await session.run(feeds, compared, { signal });
      const outputs = compared.map((name) => ({
        name,
        isFirst: name === session.outputs[0]!.name,
        tensor: tensors[name]!,
      }));
      use({ index: index++, size, outputs });
      done += size;
      onImages?.(done, images.images);
    }
  } finally {
    await session.close();
  }
}

function keep(name: string, tensor: RuntimeTensor, size: number, canBeClasses: boolean, seed: number): Kept {
  const { type, dims } = tensor;
  const isClasses = canBeClasses && isOfClasses(dims, size);
  const positions = isClasses ? undefined : drawPositions(tensor.data.length, size * mostCompared, seed, name);
  return { name, type, dims, isClasses, positions, values: numbersAt(tensor, positions) };
}

/** One position out of each of `most` equal stretches; undefined where there are no more than so many. */
function drawPositions(count: number, most: number, seed: number, name: string): Int32Array | undefined {
  if (count <= most) return undefined;
  const words = new Int32Array(most);
  fillWords(randomStream(seed, `compared ${name}`), words);
  return words.map((word, k) => Math.min(count - 1, Math.floor(((k + (word >>> 0) / 2 ** 32) * count) / most)));
}

function numbersAt(tensor: RuntimeTensor, positions: Int32Array | undefined): Float64Array {
  if (positions === undefined) return toNumbers(tensor);
  // Of floats; 16-bit ones are numbers here too.
  const all = tensor.data as Float32Array;
  const drawn = all.slice(0, positions.length);
  for (let i = 0; i < positions.length; i++) drawn[i] = all[positions[i]!]!;
  return toNumbers({ ...tensor, dims: [drawn.length], data: drawn });
}

interface Comparison {
  /** One run: what the original gave, and the converted model's outputs by name. */
  add(kept: readonly Kept[], tensors: ReadonlyMap<string, RuntimeTensor>, size: number): void;
  result(data: string): Judged;
}

function createComparison(end: EndKind | undefined): Comparison {
  const sums = new Map<string, { errors: number; squares: number; count: number }>();
  const tally = end === undefined ? undefined : tallyClasses(end);
  let images = 0;
  let problem: string | undefined;

  const addErrors = ({ name, values, isClasses }: Kept, after: Float64Array): void => {
    const sum = sums.get(name) ?? { errors: 0, squares: 0, count: 0 };
    sums.set(name, sum);
    for (let i = 0; i < values.length; i++) {
      const [was, is] = [values[i]!, after[i]!];
      if (!Number.isFinite(was)) continue;
      if (!Number.isFinite(is)) {
        // The logarithm of a probability of 0 is something to compare, but no error.
        if (!isClasses) problem ??= `output '${name}' of the converted model is ${is} where the original's is finite`;
        continue;
      }
      sum.errors += (is - was) ** 2;
      sum.squares += was * was;
      sum.count++;
    }
  };

  return {
    add(all, tensors, size) {
      images += size;
      for (const kept of all) {
        const tensor = tensors.get(kept.name);
        if (tensor === undefined || String(tensor.dims) !== String(kept.dims)) {
          problem ??= `output '${kept.name}' has another shape`;
          continue;
        }
        const after = numbersAt(tensor, kept.positions);
        addErrors(kept, after);
        if (kept.isClasses && !tally!.add(kept.values, after, size, kept.type)) {
          problem ??= `output '${kept.name}' is no distribution of classes on some of the images`;
        }
      }
    },
    result(data) {
      if (images === 0) problem ??= 'no output of floats, or no image';
      if (problem !== undefined) {
        return { agreement: undefined, warnings: [`the agreement with the original was not measured: ${problem}`] };
      }
      const warnings: string[] = [];
      const outputs = [...sums].flatMap(([name, { errors, squares, count }]) => {
        const relativeError = errors === 0 ? 0 : Math.sqrt(errors / squares);
        if (count > 0 && Number.isFinite(relativeError)) return [{ name, relativeError }];
        const what = count === 0 ? 'not finite' : '0';
        warnings.push(`output '${name}' of the original is ${what} on all images: it has no relative error`);
        return [];
      });
      const classes = tally?.divergences.length === images ? tally.result() : undefined;
      const kl = classes?.kl ?? null;
      const top1 = classes?.top1 ?? null;
      return { agreement: { data, images, top1, kl, outputs }, warnings };
    },
  };
}
