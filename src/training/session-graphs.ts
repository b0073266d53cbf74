import { type Target, targetOf } from '../lower/target.js';
import { normalizationOf } from '../images/images.js';
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
  const gradient = buildGradientGraph(
    prepared,
    settings,
    { batch, isBatchOpen: false, passes: target.passes },
    target.build,
    target.opsets,
    hasByteImages ? { normalization: normalizationOf(settings), hasFlips: flips(settings) } : undefined,
  );
  await pause(signal);
  const update = buildUpdateGraph(prepared, settings);
  const evaluation = buildEvalGraph(
    prepared,
    { batch, isBatchOpen: true, passes: target.passes },
    hasByteImages ? { normalization: normalizationOf(settings) } : undefined,
  );
  await pause(signal);
  return { target, gradient, update, evaluation };
}

/** Whether training images are mirrored at random. */
function flips({ augment, flip }: TrainSettings): boolean {
  return flip && augment !== 'none';
}
