import { LowrankError, throwIfAborted } from '../../errors.js';
import type { Model } from '../../graph/model.js';
import { readModel } from '../../graph/read.js';
import { modelBytes } from '../../graph/write.js';
import { inferShapes, type ShapeTable } from '../../ops/infer.js';
import { requireMemory } from '../../ops/memory.js';
import type { Calibration } from '../../contracts/images.js';
import { hasBiasPlace } from '../../rewrite/bias.js';
import type { Candidate } from '../candidates.js';
import { emitFit } from '../emit-fits.js';
import { type Fit, type FitContext, fitPlans, workOf } from '../fit.js';
import { inits } from '../inits/index.js';
import { type FactorizableLayer, findLayers } from '../../rewrite/layers.js';
import type { Plan } from '../plan-types.js';
import { dropUnread, openFrontier, type Source, sourceOf, withInputs } from './frontier.js';
import { measure, type Measured } from './measure.js';
import { observationPoint } from './observation-point.js';
import { addProbes, positionsPerImage, type ProbeRequest } from './probe.js';
import type { Calibrate, CalibrationImages, LayerData, Moments } from './types.js';
import { type ImageContext, type OpenedImages, openImages } from './open-images.js';
import { grouped, hasMoments, momentBytes, pool } from './moments.js';
import { fewPatches, note, withoutMoments } from './notices.js';

export interface DataFitContext extends FitContext, ImageContext {
  /** Whether biases may put right what pairs change in the mean. */
  readonly biasCorrection: boolean;
  /** What was looked at before: the images, which stay open, and moments of some candidates. Default: nothing. */
  readonly known?: {
    readonly opened: OpenedImages;
    readonly moments: ReadonlyMap<Candidate, Moments>;
  };
}

export interface DataFits {
  readonly fits: readonly Fit[];
  readonly report: Calibration;
  readonly warnings: readonly string[];
}
/** Patches whose moments are taken, per number in a patch, and at least. More tell little: neighbors are alike. */
const patchesPerNumber = 16;
const fewestPatches = 32_768;
/** Patches that are kept for fits through the activation. */
const mostSamples = 8192;

/**
 * Fits plans on calibration images: in groups of layers as memory allows, each looked at in one pass over the images. An
 * initialization that fits in sequence runs them on from layer to layer, through a copy of the model in which the layers
 * before are pairs already. Throws what `calibrate` and `fitPlans` throw.
 */
export async function fitOnData(
  plans: readonly Plan[],
  calibrate: Calibrate,
  context: DataFitContext,
): Promise<DataFits> {
  const started = performance.now();
  const work = plans.filter(({ trials }) => trials !== null);
  const { copy, shapes, images } = context.known?.opened ?? (await openImages(calibrate, context));
  try {
    const run: Run = { ...context, copy, shapes, images, isSequential: inits[context.init].needs === 'sequence' };
    const measured = work.filter(({ candidate }) => hasMoments(candidate));
    const fits = new Map<Plan, Fit>();
    const student = run.isSequential ? createStudent(run) : undefined;
    let fitSeconds = 0;
    const all = workOf(work);
    let behind = 0;
    const running: Run = {
      ...run,
      onImages: (done, images, detail) => context.onProgress?.(behind, all, `${detail}, image ${done} of ${images}`),
    };
    const fit = async (batch: readonly Plan[], options: Partial<FitContext>): Promise<readonly Fit[]> => {
      const from = performance.now();
      const onProgress: FitContext['onProgress'] = (done, _, detail) =>
        context.onProgress?.(behind + done, all, detail);
      const results = await fitPlans(batch, { ...context, ...options, onProgress });
      behind += workOf(batch);
      results.forEach((result, index) => fits.set(batch[index]!, result));
      fitSeconds += (performance.now() - from) / 1000;
      return results;
    };
    const few = { layers: 0, example: '' };
    const isFitted = ({ candidate, trials }: Plan): boolean =>
      trials?.every((trial) => context.knownFits?.get(candidate.layer.name, trial) !== undefined) === true;
    for (const group of groupsOf(measured, run)) {
      const seen = await observeOriginal(run, group, run.isSequential && !group.every(isFitted));
      for (const { candidate } of group) note(few, candidate, seen.get(candidate)!.data.moments);
      if (student === undefined) {
        await fit(group, { dataOf: (candidate) => seen.get(candidate)?.data });
        continue;
      }
      for (const plan of group) {
        throwIfAborted(context.signal);
        const own = seen.get(plan.candidate)!;
        const data = isFitted(plan) ? own.data : await observeStudent(running, student, plan.candidate, own);
        const [result] = await fit([plan], { dataOf: () => data });
        student.replace(result!);
      }
    }
    // What has no second moments is fitted without them.
    const large = work.filter((plan) => !measured.includes(plan));
    const init = inits[context.init].needs === undefined ? context.init : 'spectral';
    await fit(large, { init });
    const scarce = calibrate.kind === 'synthetic' ? [] : fewPatches(few);
    const warnings = [...images.warnings, ...scarce, ...withoutMoments(large, init)];
    const seconds = (performance.now() - started) / 1000 - fitSeconds;
    const report = { ...images.summary(), layers: measured.length, seconds };
    return { fits: work.map((plan) => fits.get(plan)!), report, warnings };
  } finally {
    if (context.known === undefined) await images.close();
  }
}

interface Run extends DataFitContext {
  /** The original model, its batch open, with its shapes at the size of a full batch. It is not changed. */
  readonly copy: Model;
  readonly shapes: ShapeTable;
  readonly images: CalibrationImages;
  readonly isSequential: boolean;
}

/** The layer of another copy of the model that is the same as this one. */
export function sameLayer(layers: readonly FactorizableLayer[], layer: FactorizableLayer): FactorizableLayer {
  const found = layers.find(({ name }) => name === layer.name);
  if (found !== undefined) return found;
  throw new LowrankError('INTERNAL', `layer '${layer.name}' is not in the copy of the model`);
}

export function factorizable(model: Model, shapes: ShapeTable): FactorizableLayer[] {
  return findLayers(model.graph, shapes).filter((layer) => layer.kind === 'factorizable');
}

/** Consecutive plans whose moments and samples fit into memory together. */
function groupsOf(plans: readonly Plan[], run: Run): readonly (readonly Plan[])[] {
  return grouped(plans, ({ candidate }) => {
    const targets = run.isSequential ? 4 * mostSamples * candidate.layer.geometry.out : 0;
    return momentBytes(candidate) + targets;
  });
}

/** What the original model tells of a layer. */
interface Seen {
  readonly data: LayerData;
  /** The argument of the activation; only for fits in sequence. */
  readonly target: Measured['observed'];
}

/** One pass over the images through the original model, where it tells what is not known. */
async function observeOriginal(
  run: Run,
  group: readonly Plan[],
  areTargetsNeeded: boolean,
): Promise<ReadonlyMap<Candidate, Seen>> {
  const known = run.known?.moments;
  const isRunNeeded = areTargetsNeeded || group.some(({ candidate }) => known?.has(candidate) !== true);
  const measured = !isRunNeeded
    ? new Map<string, Measured>()
    : await probe(run, sourceOf(run.copy, run.images), plural(group.length), (layers, shapes, graph) =>
        group.flatMap(({ candidate }) =>
          candidate.layers.flatMap((layer): ProbeRequest[] => {
            const same = sameLayer(layers, layer);
            const isTarget = areTargetsNeeded && layer === candidate.layer;
            const request = momentRequest(run, same);
            const isKnown = known?.has(candidate) === true;
            if (isKnown && !isTarget) return [];
            return [
              {
                ...request,
                ...(isKnown ? { momentPositions: 0 } : {}),
                ...(isTarget ? { observed: observationPoint(graph, same, shapes).value } : {}),
                observedPositions: isTarget ? samplePositions(run, same) : 0,
              },
            ];
          }),
        ),
      );
  const seen = new Map<Candidate, Seen>();
  for (const { candidate } of group) {
    const moments = known?.get(candidate) ?? pool(candidate.layers.map((layer) => measured.get(layer.name)!.moments!));
    const hasBias = run.biasCorrection && isCorrectable(run.model, candidate);
    seen.set(candidate, { data: { moments, hasBias }, target: measured.get(candidate.layer.name)?.observed });
  }
  return seen;
}

/** Whether a bias can put right what a pair changes in the mean. */
export function isCorrectable(model: Model, { layers, layer }: Candidate): boolean {
  return layers.length === 1 && hasBiasPlace(model, layer);
}

function plural(layers: number): string {
  return layers === 1 ? '1 layer' : `${layers} layers`;
}

/** One pass through the half-converted model, up to one layer. */
async function observeStudent(run: Run, student: Student, candidate: Candidate, seen: Seen): Promise<LayerData> {
  const point = observationPoint(run.copy.graph, sameLayer(student.originals, candidate.layer), run.shapes);
  const source = await student.upTo(candidate.layer);
  const measured = await probe(run, source, candidate.layer.name, (layers, shapes, graph) => {
    const same = sameLayer(layers, candidate.layer);
    const positions = samplePositions(run, same);
    const { value } = observationPoint(graph, same, shapes);
    return [{ ...momentRequest(run, same), inputPositions: positions, observed: value, observedPositions: positions }];
  });
  const { moments, inputs, observed } = measured.get(candidate.layer.name)!;
  const samples = {
    inputs: inputs!,
    current: observed!,
    target: seen.target!,
    scale: point.scale,
    activation: point.activation,
  };
  return { ...seen.data, sequential: { moments: moments!, samples } };
}

/** Runs the images through a copy of the model that has probes. */
export async function probe(
  run: Pick<Run, 'driver' | 'session' | 'images' | 'seed' | 'signal' | 'onImages'>,
  { model: source, inputShapes, images }: Source,
  detail: string,
  request: (layers: readonly FactorizableLayer[], shapes: ShapeTable, graph: Model['graph']) => readonly ProbeRequest[],
): Promise<ReadonlyMap<string, Measured>> {
  const model = readModel(modelBytes(source));
  const shapes = inferShapes(model, { inputShapes });
  const requests = request(factorizable(model, shapes), shapes, model.graph);
  const probes = addProbes(model, shapes, requests);
  const read = dropUnread(model.graph);
  requireMemory(model.graph, shapes, run.session.limits?.memory);
  const session = await run.driver.createSession(modelBytes(model), run.session);
  try {
    const shown = { images: images.images, batches: () => withInputs(read, images) };
    return await measure(session, shown, probes, {
      seed: run.seed,
      mostSamples,
      signal: run.signal,
      onImages: (done) => run.onImages?.(done, run.images.images, detail),
    });
  } finally {
    await session.close();
  }
}

export function momentRequest(run: Pick<Run, 'images'>, layer: FactorizableLayer): ProbeRequest {
  const { geometry } = layer;
  const wanted = Math.max(fewestPatches, patchesPerNumber * geometry.in * geometry.kernel[0] * geometry.kernel[1]);
  const momentPositions = Math.max(1, Math.ceil(wanted / run.images.images));
  return { layer, momentPositions, inputPositions: 0, observedPositions: 0 };
}

function samplePositions(run: Run, layer: FactorizableLayer): number {
  const wanted = Math.max(1, Math.ceil(mostSamples / run.images.images));
  return Math.min(wanted, positionsPerImage(layer, run.images.dims[0] ?? 1));
}

/** The model as far as it is converted. */
interface Student {
  /** The layers of the original's copy. */
  readonly originals: readonly FactorizableLayer[];
  /** What shows this layer the images. */
  upTo(layer: FactorizableLayer): Promise<Source>;
  replace(fit: Fit): void;
}

function createStudent(run: Run): Student {
  const model = readModel(modelBytes(run.copy));
  const layers = factorizable(model, inferShapes(model, { inputShapes: { [run.images.input]: run.images.dims } }));
  const frontier = openFrontier(model, run);
  return {
    originals: factorizable(run.copy, run.shapes),
    upTo: (layer) => frontier.upTo(sameLayer(layers, layer).node),
    replace: (fit) => {
      const own = fit.candidate.layers.map((layer) => sameLayer(layers, layer));
      frontier.forget(own.map(({ node }) => node));
      emitFit(model, fit, own);
    },
  };
}
