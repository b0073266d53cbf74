import { openImages } from '../factorize/calibration/open-images.js';
import type { Calibrate } from '../factorize/calibration/types.js';
import { type Candidate, selectCandidates } from '../factorize/candidates.js';
import { countMacs } from '../rewrite/count.js';
import { largestRank } from '../rewrite/geometry.js';
import type { Layer } from '../rewrite/layers.js';
import { factorMacsOf, macsOf } from '../factorize/plan-choice.js';
import type { SelectionSettings } from '../factorize/settings.js';
import { type Curve, observeModel } from '../factorize/sensitivity/observe.js';
import { curvePoints } from '../factorize/sensitivity/report.js';
import type { Model } from '../graph/model.js';
import { checkedLimits, type LimitOptions } from '../limits.js';
import { createLinalg } from '../linalg/linalg.js';
import type { ShapeTable } from '../ops/infer.js';
import type { InspectLayer } from '../contracts/inspect.js';
import type { LayerSensitivity, Scheme, SensitivityReport } from '../contracts/convert.js';
import { sessionOptionsOf } from '../runtime/threads.js';
import type { Driver } from '../runtime/types.js';

export interface SensitivityContext extends LimitOptions {
  readonly path: string;
  readonly driver: Driver;
  readonly threads?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Counts images. */
  readonly onImages?: (done: number, total: number, detail: string) => void;
}

export interface Sensitivities {
  readonly report: SensitivityReport;
  /** By the name of the layer; of those that share a weight, the first. */
  readonly byName: ReadonlyMap<
    string,
    { readonly sensitivity: LayerSensitivity; readonly halved: NonNullable<InspectLayer['halved']> | null }
  >;
  readonly warnings: readonly string[];
}

const everyLayer = {
  include: [],
  exclude: [],
  factorizePairs: false,
  keepFirst: false,
  keepLast: false,
} as const satisfies SelectionSettings;

/** What the outputs feel of every layer that could be factorized. Throws what `calibrate` and running images throw. */
export async function findSensitivities(
  model: Model,
  shapes: ShapeTable,
  layers: readonly Layer[],
  calibrate: Calibrate,
  { path, driver, threads, signal, onImages, ...limits }: SensitivityContext,
): Promise<Sensitivities> {
  const { candidates } = selectCandidates(model, layers, everyLayer, 'whitened');
  const session = sessionOptionsOf({ device: 'cpu', threads: threads ?? 0, ...checkedLimits(limits) });
  const images = {
    path,
    model,
    driver,
    session,
    seed: 0,
    signal,
    ...(onImages === undefined ? {} : { onImages }),
  };
  const opened = await openImages(calibrate, images);
  const linalg = await createLinalg({ driver, ...(threads === undefined ? {} : { threads }) });
  try {
    const macs = countMacs(model.graph, shapes);
    const { curves, report, warnings } = await observeModel(candidates, opened, {
      ...images,
      settings: { scheme: 'auto', allowBigger: false },
      biasCorrection: true,
      linalg,
      macs,
    });
    return {
      report,
      byName: new Map(
        [...curves].map(([candidate, own]) => [
          candidate.layer.name,
          { sensitivity: { change: 0, curve: curvePoints(candidate, own) }, halved: halvedBy(candidate, own) },
        ]),
      ),
      warnings: [
        ...opened.images.warnings,
        ...(report.reason === undefined
          ? []
          : [`what each layer loses is shown, not what the outputs feel: ${report.reason}`]),
        ...warnings,
      ],
    };
  } finally {
    await opened.images.close();
    await linalg.close();
  }
}

function halvedBy(candidate: Candidate, own: ReadonlyMap<Scheme, Curve>): NonNullable<InspectLayer['halved']> | null {
  const halves = [...own].flatMap(([scheme, { losses, changes }]) => {
    const half = macsOf(candidate) / 2;
    const rank = largestRank(changes.length - 1, (own) => factorMacsOf(candidate, { scheme, rank: own }) <= half);
    return rank < 1 ? [] : [{ scheme, rank, loss: losses[rank]!, change: changes[rank]! }];
  });
  return halves.toSorted((a, b) => a.change - b.change)[0] ?? null;
}
