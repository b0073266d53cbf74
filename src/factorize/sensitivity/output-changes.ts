import { LowrankError, throwIfAborted } from '../../errors.js';
import { readModel } from '../../graph/read.js';
import { modelBytes } from '../../graph/write.js';
import { FLOAT } from '../../onnx/data-type.js';
import { inferShapes } from '../../ops/infer.js';
import { requireMemory } from '../../ops/memory.js';
import { constantsToInitializers } from '../../passes/constants-to-initializers.js';
import { inlineFunctions } from '../../passes/inline-functions.js';
import { raiseOpset } from '../../passes/raise-opset.js';
import { runPasses } from '../../passes/runner.js';
import { spellOut } from '../../passes/spell-out.js';
import type { ChangeUnit, Scheme } from '../../contracts/convert.js';
import { factorizable, isCorrectable, sameLayer } from '../calibration/fit-on-data.js';
import type { OpenedImages } from '../calibration/open-images.js';
import type { CalibrationImages } from '../calibration/types.js';
import type { Candidate } from '../candidates.js';
import { toNumbers } from '../../rewrite/samples.js';
import { emitProjections, type ProjectedLayer, relativeOutputs } from './emit-projections.js';
import { meanOf, meansOf } from './means.js';
import { drawSigns, singles } from './projections.js';
import type { ObserveContext, LayerBases } from './observe.js';

/** The opset that gradients are written for. */
const opset = 17;
/** Images that gradients are taken of: many of small models, fewer of large ones. */
const gradientImages = (macs: number): number => Math.round(Math.min(256, Math.max(32, 2e10 / Math.max(1, macs))));

export interface Changes {
  /** Of the layers that a gradient reaches; undefined where the graph has none. */
  readonly changes: ReadonlyMap<Candidate, ReadonlyMap<Scheme, Float64Array>> | undefined;
  readonly unit: ChangeUnit;
  readonly images: number;
  readonly reason?: string;
}

export async function findChanges(
  candidates: readonly Candidate[],
  bases: ReadonlyMap<Candidate, LayerBases>,
  { copy, images }: OpenedImages,
  context: ObserveContext,
): Promise<Changes> {
  const model = readModel(modelBytes(copy));
  inlineFunctions(model);
  const isFixed = images.dims[0] !== undefined && isBatchFixed(copy, images.input);
  const dims = isFixed ? images.dims : [1, ...images.dims.slice(1)];
  const inputShapes = { [images.input]: dims };
  const wanted = Math.min(images.images, gradientImages(context.macs));
  let graph: ReturnType<typeof emitProjections>;
  let requests: readonly (ProjectedLayer & { readonly candidate: Candidate })[];
  try {
    runPasses(model, [constantsToInitializers, raiseOpset(opset), ...spellOut], { shapes: { inputShapes } });
    const shapes = inferShapes(model, { inputShapes });
    const layers = factorizable(model, shapes);
    const half = layers.find(({ weight }) => weight.dataType !== FLOAT);
    if (half !== undefined) throw new LowrankError('UNSUPPORTED', `the weight of '${half.label}' is not float32`);
    requests = candidates.flatMap((candidate) => {
      const { bySchemes, moments } = bases.get(candidate)!;
      const corrected = context.biasCorrection && isCorrectable(context.model, candidate) ? moments : undefined;
      return candidate.layers.map((layer) => {
        const same = sameLayer(layers, layer);
        return {
          candidate,
          layer: same,
          mean: corrected === undefined ? undefined : meanOf(same, corrected),
          pairs: [...bySchemes].map(([scheme, basis]) => ({
            scheme,
            pair: basis,
            means: corrected === undefined ? undefined : meansOf(same, scheme, basis, corrected),
          })),
        };
      });
    });
    const names = relativeOutputs(model, shapes).map(({ name }) => name);
    graph = emitProjections(model, shapes, requests, await squaresOf(copy, names, images, wanted, context));
    requireMemory(model.graph, inferShapes(model, { inputShapes }), context.session.limits?.memory);
  } catch (error) {
    if (!(error instanceof LowrankError) || error.code === 'ABORTED') throw error;
    const place = error.place === undefined ? '' : ` (${error.place})`;
    return { changes: undefined, unit: 'squared-error', images: 0, reason: `${error.fact}${place}` };
  }
  const sums = new Map<Candidate, Map<Scheme, Float64Array>>();
  const isReached = (candidate: Candidate): boolean =>
    requests.some((request, index) => request.candidate === candidate && graph.layers[index]!.total !== undefined);
  for (const [candidate, { bySchemes }] of bases) {
    if (!isReached(candidate)) continue;
    const own = [...bySchemes].map(([scheme, { losses }]) => [scheme, new Float64Array(losses.length)] as const);
    sums.set(candidate, new Map(own));
  }
  const session = await context.driver.createSession(modelBytes(model), context.session);
  let done = 0;
  try {
    for await (const { feeds, size } of singles(images, wanted, isFixed)) {
      throwIfAborted(context.signal);
      const signs = graph.draws.map(
        ({ name, dims: shape }) => [name, drawSigns(name, shape, context.seed, done)] as const,
      );
      const outputs = await session.run({ ...feeds, ...Object.fromEntries(signs) }, undefined, {
        signal: context.signal,
      });
      const numbers = (name: string): Float32Array => outputs[name]!.data as Float32Array;
      const moved = new Map<Float64Array, Float64Array>();
      requests.forEach(({ candidate, pairs }, index) => {
        const { total, parts } = graph.layers[index]!;
        if (total === undefined) return;
        pairs.forEach(({ scheme }, at) => {
          const sum = sums.get(candidate)!.get(scheme)!;
          const line = moved.get(sum) ?? new Float64Array(sum.length);
          moved.set(sum, line);
          addMoves(line, numbers(total)[0]!, numbers(parts[at]!));
        });
      });
      for (const [sum, line] of moved) line.forEach((move, rank) => (sum[rank]! += (move * move) / 2));
      done += size;
      context.onImages?.(done, wanted, 'what the outputs feel');
    }
  } finally {
    await session.close();
  }
  for (const [candidate, own] of sums) {
    for (const sum of own.values()) {
      if (!sum.every(Number.isFinite)) {
        throw new LowrankError('NUMERIC', 'what the outputs feel of the layer is not finite on the images', {
          place: `layer '${candidate.layer.label}'`,
          remedy: `check --normalization, or keep the layer with --exclude '${candidate.layer.label}'`,
        });
      }
      sum.forEach((value, rank) => (sum[rank] = value / Math.max(1, done)));
    }
  }
  const isMoved = [...sums.values()].some((own) => [...own.values()].some((sum) => sum.some((value) => value > 0)));
  if (isMoved) return { changes: sums, unit: graph.unit, images: done };
  return { changes: undefined, unit: graph.unit, images: done, reason: 'no layer moves the outputs on the images' };
}

/** E‖output‖² of one image, of the outputs of these names. */
async function squaresOf(
  copy: OpenedImages['copy'],
  names: readonly string[],
  images: CalibrationImages,
  wanted: number,
  { driver, session: options, signal }: ObserveContext,
): Promise<ReadonlyMap<string, number>> {
  const sums = new Map<string, number>();
  if (names.length === 0) return sums;
  const session = await driver.createSession(modelBytes(copy), options);
  let done = 0;
  try {
    for await (const { feeds, size } of images.batches()) {
      throwIfAborted(signal);
      const outputs = await session.run(feeds, names, { signal });
      for (const name of names) {
        const square = toNumbers(outputs[name]!).reduce((sum, value) => sum + value * value, 0);
        sums.set(name, (sums.get(name) ?? 0) + square);
      }
      done += size;
      if (done >= wanted) break;
    }
  } finally {
    await session.close();
  }
  return new Map([...sums].map(([name, sum]) => [name, sum / Math.max(1, done)]));
}

/** What is left of the whole behind the first components of each rank. */
function addMoves(line: Float64Array, whole: number, parts: Float32Array): void {
  let left = whole;
  line[0]! += left;
  for (let rank = 1; rank < line.length; rank++) {
    left -= parts[rank - 1]!;
    line[rank]! += left;
  }
}

function isBatchFixed({ graph }: OpenedImages['copy'], input: string): boolean {
  const batch = graph.value(input)?.declared?.dims?.[0];
  return typeof batch === 'number' && batch > 1;
}
