import { type Target, targetOf } from '../lower/target.js';
import { imageSizeOf, normalizationOf } from '../images/images.js';
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

/** Emits the graphs; with `hasByteImages` they take images as bytes. Throws ABORTED. */
export async function buildGraphs(
  prepared: Prepared,
  settings: TrainSettings,
  hasByteImages: boolean,
  driver: Driver,
  signal: AbortSignal | undefined,
): Promise<SessionGraphs> {
  const { batchSize: batch } = settings;
  const target = await targetOf(settings.device === 'cpu' ? settings.target : 'cuda', driver, settings);
  const bytes = hasByteImages ? { normalization: normalizationFor(prepared, settings) } : undefined;
  const gradient = buildGradientGraph(
    prepared,
    settings,
    { batch, isBatchOpen: false, passes: target.passes },
    target.build,
    target.opsets,
    bytes === undefined ? undefined : { ...bytes, hasFlips: flips(settings) },
  );
  await pause(signal);
  const update = buildUpdateGraph(prepared, settings);
  const evaluation = buildEvalGraph(prepared, { batch, isBatchOpen: true, passes: target.passes }, bytes);
  await pause(signal);
  return { target, gradient, update, evaluation };
}

function normalizationFor({ images, imageDims, layout }: Prepared, settings: TrainSettings): Normalization {
  return normalizationOf(settings, imageSizeOf(imageDims, layout, images.name).channels);
}

/** Whether training images are mirrored at random. */
function flips({ augment, flip }: TrainSettings): boolean {
  return flip && augment !== 'none';
}
