import type { Model } from '../graph/model.js';
import { readModel } from '../graph/read.js';
import { modelBytes } from '../graph/write.js';
import { inferShapes } from '../ops/infer.js';
import { factorizable, isCorrectable, sameLayer } from '../factorize/calibration/fit-on-data.js';
import type { OpenedImages } from '../factorize/calibration/open-images.js';
import type { Moments } from '../factorize/calibration/types.js';
import type { Candidate } from '../factorize/candidates.js';
import { emitFit } from '../factorize/emit-fits.js';
import { type Fit, type FitContext, fitPlans } from '../factorize/fit.js';
import type { FitsOfSearch } from '../factorize/known-fits.js';
import type { Plan } from '../factorize/plan-types.js';
import type { InitName } from '../factorize/types.js';

export interface TrialContext extends Omit<FitContext, 'knownFits'> {
  /** That of the candidates. */
  readonly model: Model;
  readonly biasCorrection: boolean;
  readonly moments: ReadonlyMap<Candidate, Moments>;
  readonly known: FitsOfSearch;
  /** What is done to a model with pairs before it is written. */
  readonly finish: Finish | undefined;
}

export type Finish = (model: Model) => Promise<unknown>;

/**
 * The model with pairs of these ranks, each fitted to what its layer sees in the original, as bytes that take the images' batch:
 * the fastest fit there is, for measuring what ranks are worth.
 */
export async function trialModel(
  plans: readonly Plan[],
  opened: OpenedImages,
  context: TrialContext,
): Promise<Uint8Array> {
  const { model, moments, biasCorrection, known } = context;
  const [seen, others] = [true, false].map((has) => plans.filter(({ candidate }) => moments.has(candidate) === has));
  const dataOf: FitContext['dataOf'] = (candidate) => ({
    moments: moments.get(candidate)!,
    hasBias: biasCorrection && isCorrectable(model, candidate),
  });
  const { onProgress: _, onSpectrum: __, finish: ___, ...quiet } = context;
  const by = (init: InitName): Pick<FitContext, 'init' | 'knownFits'> => ({ init, knownFits: known.of(init, plans) });
  const fits = [
    ...(await fitPlans(seen!, { ...quiet, ...by('whitened'), dataOf })),
    ...(await fitPlans(others!, { ...quiet, ...by('spectral') })),
  ];
  return modelWith(fits, opened, context.finish);
}

/** The model with these pairs, as bytes that take the images' batch. */
export async function modelWith(
  fits: readonly Fit[],
  { copy, images }: OpenedImages,
  finish: Finish | undefined,
): Promise<Uint8Array> {
  const model = readModel(modelBytes(copy));
  const layers = factorizable(model, inferShapes(model, { inputShapes: { [images.input]: images.dims } }));
  for (const fit of fits) {
    emitFit(
      model,
      fit,
      fit.candidate.layers.map((layer) => sameLayer(layers, layer)),
    );
  }
  if (fits.length > 0) await finish?.(model);
  return modelBytes(model);
}
