import { type Target, targetOf } from '../lower/target.js';
import { normalizationOf } from '../images/images.js';
import { calledSides } from '../images/sample-shape.js';
import type { Normalization } from '../data/normalize.js';
import type { Driver } from '../runtime/types.js';
import { buildEvalGraph, type EvalGraph } from '../step/eval-graph.js';
import { buildGradientGraph, type GradientGraph } from '../step/gradient-graph.js';
import type { Prepared } from '../step/prepare.js';
import { buildUpdateGraph, type UpdateGraph } from '../step/update-graph.js';
import type { TrainSettings } from './options.js';
import { pause } from './pause.js';

/** The emitted graphs of a training. */
export interface SessionGraphs {
  readonly target: Target;
  readonly gradient: GradientGraph;
  readonly update: UpdateGraph;
  readonly evaluation: EvalGraph;
}

/** What graphs of a training are emitted for. */
export interface GraphContext {
  readonly target: Target;
  /** They take images as bytes. */
  readonly hasByteImages: boolean;
}

/** Emits the graphs. Throws ABORTED. */
export async function buildGraphs(
  prepared: Prepared,
  settings: TrainSettings,
  context: GraphContext,
  signal: AbortSignal | undefined,
): Promise<SessionGraphs> {
  const gradient = gradientOf(prepared, settings, context);
  await pause(signal);
  const update = buildUpdateGraph(prepared, settings);
  const evaluation = evaluationOf(prepared, settings, context);
  await pause(signal);
  return { target: context.target, gradient, update, evaluation };
}

export async function graphContext(
  settings: TrainSettings,
  hasByteImages: boolean,
  driver: Driver,
): Promise<GraphContext> {
  const target = await targetOf(settings.device === 'cpu' ? settings.target : 'cuda', driver, settings);
  return { target, hasByteImages };
}

export function gradientOf(
  prepared: Prepared,
  settings: TrainSettings,
  { target, hasByteImages }: GraphContext,
): GradientGraph {
  return buildGradientGraph(
    prepared,
    settings,
    { batch: settings.batchSize, isBatchOpen: false, passes: target.passes },
    target.build,
    target.opsets,
    hasByteImages ? { normalization: normalizationFor(prepared, settings), hasFlips: flips(settings) } : undefined,
  );
}

export function evaluationOf(
  prepared: Prepared,
  settings: TrainSettings,
  { target, hasByteImages }: GraphContext,
): EvalGraph {
  const bytes = hasByteImages ? { normalization: normalizationFor(prepared, settings) } : undefined;
  const isBatchOpen = prepared.ownBatch === undefined;
  return buildEvalGraph(prepared, { batch: settings.batchSize, isBatchOpen, passes: target.passes }, bytes);
}

function normalizationFor({ imageDims, layout }: Prepared, settings: TrainSettings): Normalization {
  return normalizationOf(settings, calledSides(imageDims, layout).channels);
}

/** Whether training images are mirrored at random. */
function flips({ augment, flip }: TrainSettings): boolean {
  return flip && augment !== 'none';
}
