import { LowrankError, throwIfAborted } from '../../errors.js';
import { readModel } from '../../graph/read.js';
import { modelBytes } from '../../graph/write.js';
import type { Linalg } from '../../linalg/types.js';
import { FLOAT } from '../../onnx/data-type.js';
import { inferShapes } from '../../ops/infer.js';
import { requireMemory } from '../../ops/memory.js';
import { constantsToInitializers } from '../../passes/constants-to-initializers.js';
import { inlineFunctions } from '../../passes/inline-functions.js';
import { raiseOpset } from '../../passes/raise-opset.js';
import { runPasses } from '../../passes/runner.js';
import type { ChangeUnit, Scheme, SensitivityReport } from '../../contracts/convert.js';
import {
  factorizable,
  grouped,
  type ImageContext,
  isCorrectable,
  largestPatch,
  momentBytes,
  momentRequest,
  type OpenedImages,
  patchSize,
  pool,
  probe,
  sameLayer,
} from '../calibration/fit-on-data.js';
import { sourceOf } from '../calibration/frontier.js';
import { orderMoments } from '../calibration/scheme-order.js';
import type { CalibrationImages, Moments } from '../calibration/types.js';
import type { Candidate } from '../candidates.js';
import { breakEvenRank, matrixShape, maxRank } from '../../rewrite/geometry.js';
import { isOutputMajor, toMatrix } from '../../rewrite/layout.js';
import { allowedSchemes } from '../plan-choice.js';
import { toNumbers } from '../../rewrite/samples.js';
import type { SchemeSettings } from '../settings.js';
import { type Basis, basisOf, basisOfWeights } from './basis.js';
import { emitProjections, type ProjectedLayer, relativeOutputs } from './emit-projections.js';
import { meanOf, meansOf } from './means.js';
import { drawSigns, singles } from './projections.js';

/** What each rank of one scheme of a layer costs, from rank 0 on. */
export interface Curve {
  /** The share of E‖Wx‖² that is lost. */
  readonly losses: Float64Array;
  /** What the outputs are expected to change by where this layer alone is cut. */
  readonly changes: Float64Array;
}

export type Curves = ReadonlyMap<Candidate, ReadonlyMap<Scheme, Curve>>;

/** What is known of a model from running images through it once. */
export interface ObservedModel {
  /** Of candidates whose patches are not too large, as far as memory allows. */
  readonly moments: ReadonlyMap<Candidate, Moments>;
  readonly curves: Curves;
  readonly report: SensitivityReport;
  readonly warnings: readonly string[];
}

export interface ObserveContext extends ImageContext {
  readonly settings: SchemeSettings;
  /** Whether a bias puts right what a pair changes in the mean. */
  readonly biasCorrection: boolean;
  readonly linalg: Linalg;
  /** Multiply-accumulates of one run of the model. */
  readonly macs: number;
}

/** The opset that gradients are written for. */
const opset = 17;
/** Images that gradients are taken of: many of small models, fewer of large ones. */
const gradientImages = (macs: number): number => Math.round(Math.min(256, Math.max(32, 2e10 / Math.max(1, macs))));
/** Bytes of moments that are kept for the fit. */
const mostMomentBytes = 2e9;
/** Ranks that are looked at where a patch is too large for moments. */
const mostWithoutMoments = 512;
/** Every layer's own loss counts at least by this share of the mean sensitivity: pictures do not show all that a layer does. */
const leastShare = 0.01;

/**
 * Finds out, for every candidate, scheme and rank at once, what the layer loses on the images and what the outputs feel of it:
 * the loss from one eigenproblem of W E[xxᵀ] Wᵀ, the change of the outputs from one pass back through the graph for each
 * image (`emitProjections`). Where the graph has no gradient, the loss alone counts. Throws NUMERIC for what is not finite.
 */
export async function observeModel(
  candidates: readonly Candidate[],
  opened: OpenedImages,
  context: ObserveContext,
): Promise<ObservedModel> {
  const started = performance.now();
  const { bases, moments } = await findBases(candidates, opened, context);
  const { changes, images, unit, reason } = await findChanges(candidates, bases, opened, context);
  const curves = new Map(
    [...bases].map(([candidate, { bySchemes }]) => {
      const own = [...bySchemes].map(([scheme, { losses }]): [Scheme, Curve] => {
        return [scheme, { losses, changes: changes?.get(candidate)?.get(scheme) ?? losses }];
      });
      return [candidate, new Map(own)] as const;
    }),
  );
  const seconds = (performance.now() - started) / 1000;
  const by = changes === undefined ? 'losses' : 'gradients';
  const why = reason === undefined ? {} : { reason };
  return {
    moments,
    curves: changes === undefined ? curves : withFloor(curves, changes),
    report: { by, ...why, unit, images, seconds },
    warnings: changes === undefined ? [] : unreached(candidates.filter((candidate) => !changes.has(candidate))),
  };
}

/**
 * changes + a small share of the loss, by the mean of what cutting a layer off whole would do. Where no gradient reaches a
 * layer, its loss counts as if it were like the mean of the others.
 */
function withFloor(curves: Curves, reached: NonNullable<Changes['changes']>): Curves {
  const whole = [...reached.values()].flatMap((bySchemes) => {
    const [changes] = bySchemes.values();
    return changes === undefined ? [] : [changes[0]!];
  });
  const mean = whole.reduce((sum, change) => sum + change, 0) / Math.max(1, whole.length);
  const raised = ({ losses, changes }: Curve, isReached: boolean): Curve => ({
    losses,
    changes: isReached
      ? changes.map((change, rank) => change + leastShare * mean * losses[rank]!)
      : losses.map((loss) => mean * loss),
  });
  return new Map(
    [...curves].map(([candidate, own]) => [
      candidate,
      new Map([...own].map(([scheme, curve]) => [scheme, raised(curve, reached.has(candidate))])),
    ]),
  );
}

function unreached(candidates: readonly Candidate[]): string[] {
  const [first] = candidates;
  if (first === undefined) return [];
  const which = candidates.length === 1 ? 'layer' : `${candidates.length} layers, first`;
  return [`no gradient of the outputs reaches ${which} '${first.layer.label}': what is lost there counts instead`];
}

interface LayerBases {
  readonly bySchemes: ReadonlyMap<Scheme, Basis>;
  /** undefined where a patch is too large. */
  readonly moments: Moments | undefined;
}

async function findBases(
  candidates: readonly Candidate[],
  { copy, images }: OpenedImages,
  context: ObserveContext,
): Promise<{ readonly bases: ReadonlyMap<Candidate, LayerBases>; readonly moments: ReadonlyMap<Candidate, Moments> }> {
  const { settings, linalg, signal } = context;
  const run = { ...context, images };
  const bases = new Map<Candidate, LayerBases>();
  const kept = new Map<Candidate, Moments>();
  let keptBytes = 0;
  const isLarge = (candidate: Candidate): boolean => patchSize(candidate) > largestPatch;
  const groups = grouped(candidates, (candidate) => (isLarge(candidate) ? 0 : momentBytes(candidate)));
  for (const group of groups) {
    const small = group.filter((candidate) => !isLarge(candidate));
    const measured =
      small.length === 0
        ? undefined
        : await probe(run, sourceOf(copy, images), `${small.length} layers`, (layers) =>
            small.flatMap(({ layers: own }) => own.map((layer) => momentRequest(run, sameLayer(layers, layer)))),
          );
    for (const candidate of group) {
      const { layer } = candidate;
      const moments = isLarge(candidate)
        ? undefined
        : pool(candidate.layers.map(({ name }) => measured!.get(name)!.moments!));
      const data = layer.weight.data();
      const bySchemes = new Map<Scheme, Basis>();
      for (const scheme of allowedSchemes(candidate, settings)) {
        throwIfAborted(signal);
        const limit = settings.allowBigger ? maxRank(layer.geometry, scheme) : breakEvenRank(layer.geometry, scheme);
        if (limit < 1) continue;
        const weight = toMatrix(data, layer.geometry, scheme, isOutputMajor(layer.form, layer.node.int('transB', 0)));
        const { rowsPerNeuron } = matrixShape(layer.geometry, scheme);
        const problem = { weight, rowsPerNeuron, linalg, signal };
        bySchemes.set(
          scheme,
          moments === undefined
            ? await basisOfWeights({ ...problem, most: Math.min(limit, mostWithoutMoments) })
            : await basisOf({ ...problem, most: limit, moments: orderMoments(moments, layer.geometry, scheme) }),
        );
      }
      bases.set(candidate, { bySchemes, moments });
      const bytes = 8 * patchSize(candidate) ** 2;
      if (moments === undefined || keptBytes + bytes > mostMomentBytes) continue;
      kept.set(candidate, moments);
      keptBytes += bytes;
    }
  }
  return { bases, moments: kept };
}

interface Changes {
  /** Of the layers that a gradient reaches; undefined where the graph has none. */
  readonly changes: ReadonlyMap<Candidate, ReadonlyMap<Scheme, Float64Array>> | undefined;
  readonly unit: ChangeUnit;
  readonly images: number;
  readonly reason?: string;
}

async function findChanges(
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
    runPasses(model, [constantsToInitializers, raiseOpset(opset)], { shapes: { inputShapes } });
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
