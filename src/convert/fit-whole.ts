import type { Model } from '../graph/model.js';
import type { ShapeTable } from '../ops/infer.js';
import type { Driver, SessionOptions } from '../runtime/types.js';
import type { Candidate } from '../factorize/candidates.js';
import { type Fit, type FitContext, fitPlans } from '../factorize/fit.js';
import { fromKernels, joinFactors } from '../rewrite/layout.js';
import type { PairRecord } from '../rewrite/pairs.js';
import { joinInner } from '../factorize/tucker.js';
import type { Matrix } from '../linalg/types.js';
import type { FitSettings } from '../factorize/sampled/settings.js';
import type { FactorPair } from '../rewrite/types.js';

/** What `Approximate` works with. */
export interface ApproximateContext {
  /** What is approximated: the original, as a file or as bytes. */
  readonly original: string | Uint8Array;
  /** Of one input, without the batch. */
  readonly inputDims: readonly number[];
  /** Initializers that are fitted: the factors of the new pairs. */
  readonly factors: readonly string[];
  readonly fit: FitSettings;
  readonly seed: number;
  readonly driver: Driver;
  readonly session: SessionOptions;
  readonly signal?: AbortSignal | undefined;
  /** Counts steps. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** Fits the pairs of a model all at once, from what they are, in place; everything else stays. */
export type Approximate = (
  model: Model,
  context: ApproximateContext,
) => Promise<{ readonly warnings: readonly string[] }>;

export interface WholeFit extends Omit<ApproximateContext, 'inputDims' | 'factors'> {
  readonly approximate: Approximate;
  readonly shapes: ShapeTable;
  readonly records: readonly PairRecord[];
  readonly fitContext: FitContext;
}

/** Fits the pairs that `fits` put into the model; gives them as they are then, with their errors. */
export async function fitWhole(
  model: Model,
  fits: readonly Fit[],
  { approximate, shapes, records, fitContext, ...context }: WholeFit,
): Promise<{ readonly fits: readonly Fit[]; readonly warnings: readonly string[] }> {
  const input = model.graph.inputs.find(({ isInitializer }) => !isInitializer);
  if (fits.length === 0 || input === undefined) return { fits, warnings: [] };
  const { warnings } = await approximate(model, {
    ...context,
    inputDims: shapes.require(input).dims.slice(1),
    factors: [...new Set(records.flatMap(({ factors }) => factors.toReversed()))],
  });
  const pairs = new Map<Candidate, FactorPair>();
  for (const { candidate } of fits) {
    pairs.set(candidate, await storedPair(model, candidate, records, fitContext.linalg));
  }
  const plans = fits.map(({ candidate, scheme, rank, inner, note }) => {
    return { candidate, trials: [{ scheme, rank, inner }] as const, note, isExact: true };
  });
  const { onProgress: _, onSpectrum: __, ...quiet } = fitContext;
  const measured = await fitPlans(plans, { ...quiet, pairOf: (candidate) => pairs.get(candidate)! });
  return { fits: measured, warnings };
}

async function storedPair(
  { graph }: Model,
  { layer }: Candidate,
  records: readonly PairRecord[],
  linalg: FitContext['linalg'],
): Promise<FactorPair> {
  const { factors, scheme } = records.find(({ name }) => name === layer.name)!;
  const kernels = factors.map((name) => {
    const tensor = graph.value(name)!.tensor!;
    return { dims: tensor.dims, data: tensor.toFloat32() };
  });
  const matrices = fromKernels(kernels, layer.form, layer.node.int('transB', 0));
  return scheme === 'tucker' ? tuckerPair(matrices, layer, linalg) : joinFactors(matrices, linalg);
}

async function tuckerPair(
  [basis, core, left]: readonly Matrix[],
  { geometry: { kernel } }: Candidate['layer'],
  linalg: FitContext['linalg'],
): Promise<FactorPair> {
  const inner = { basis: basis!, core: core! };
  return { left: left!, right: await joinInner(inner, kernel[0] * kernel[1], linalg), inner };
}
