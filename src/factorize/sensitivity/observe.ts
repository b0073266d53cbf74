import { throwIfAborted } from '../../errors.js';
import type { Linalg } from '../../linalg/types.js';
import type { Scheme, SensitivityReport } from '../../contracts/convert.js';
import { grouped, hasMoments, momentBytes, patchSize, pool } from '../calibration/moments.js';
import { momentRequest, probe, sameLayer } from '../calibration/fit-on-data.js';
import type { ImageContext, OpenedImages } from '../calibration/open-images.js';
import { sourceOf } from '../calibration/frontier.js';
import { orderMoments } from '../calibration/scheme-order.js';
import type { Moments } from '../calibration/types.js';
import type { Candidate } from '../candidates.js';
import { breakEvenRank, matrixShape, maxRank } from '../../rewrite/geometry.js';
import { isOutputMajor, toMatrices } from '../../rewrite/layout.js';
import { allowedSchemes } from '../plan-choice.js';
import type { SchemeSettings } from '../settings.js';
import { type Basis, basisOf, basisOfGroups } from './basis.js';
import { type Changes, findChanges } from './output-changes.js';

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

export interface LayerBases {
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
  const isLarge = (candidate: Candidate): boolean => !hasMoments(candidate);
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
        const outputMajor = isOutputMajor(layer.form, layer.node.int('transB', 0));
        const weights = toMatrices(data, layer.geometry, scheme, outputMajor);
        const { rowsPerNeuron } = matrixShape(layer.geometry, scheme);
        bySchemes.set(
          scheme,
          moments === undefined
            ? await basisOfGroups(weights, { linalg, signal, most: Math.min(limit, mostWithoutMoments) })
            : await basisOf({
                ...{ weight: weights[0]!, rowsPerNeuron, linalg, signal, most: limit },
                moments: orderMoments(moments, layer.geometry, scheme),
              }),
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
