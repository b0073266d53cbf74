import { LowrankError } from '../errors.js';
import type { StagedModel } from '../graph/write.js';
import { limitsOf } from '../limits.js';
import { cpuNodes, describeCpuNodes } from '../lower/cuda/placement.js';
import type { AccuracyBudget } from '../contracts/accuracy-budget.js';
import type { Ratio } from '../contracts/convert.js';
import { countMacs, countParameters } from '../rewrite/count.js';
import { findLayers, layerCounts } from '../rewrite/layers.js';
import { measureModels, modelTurn } from '../rewrite/measure-models.js';
import type { PairRecord } from '../rewrite/pairs.js';
import { prepareModel } from '../rewrite/prepare.js';
import { ratio } from '../rewrite/report-parts.js';
import { sampleFeeds } from '../rewrite/samples.js';
import { type Verification, verifyAgainst } from '../rewrite/verify.js';
import type { Driver } from '../runtime/types.js';
import type { Opened, Original } from './open.js';
import type { FoundRanks } from './rank-search.js';
import type { ConvertSettings } from './settings.js';
import { isLatencyBudget } from '../factorize/settings.js';

/** What was counted and measured of the written file, before it has its name. */
export interface Verified {
  readonly written: Written;
  readonly verification: Verification | null;
  readonly accuracyBudget: AccuracyBudget | undefined;
  readonly latencyMs: Ratio | null;
}

/** Reads the file back, runs it against the original and measures what is to be measured. Throws VERIFY, and what running models throws. */
export async function verify(
  { asked, model, shapes, driver: getDriver }: Opened,
  { source, session, samples, reference }: Original,
  { temporaryPath }: StagedModel,
  records: readonly PairRecord[],
  { searched, isOfLatency }: { readonly searched: FoundRanks | undefined; readonly isOfLatency: boolean },
): Promise<Verified> {
  const { settings, warnings, call } = asked;
  const inputShapes = settings.output.openBatch ? shapesOfInputs(model, shapes) : settings.inputShapes;
  const written = await recount(temporaryPath, { ...settings, inputShapes }, getDriver, records);
  warnings.push(...written.warnings);
  const verification = settings.verification.verify
    ? await verifyAgainst(await getDriver(), temporaryPath, samples, reference, session, call.signal)
    : null;
  const confirmed = await searched?.confirm(temporaryPath);
  warnings.push(...(confirmed?.warnings ?? []));
  let latencyMs: Ratio | null = null;
  if (settings.verification.measureLatency || isOfLatency) {
    const feeds = samples[0] ?? sampleFeeds(model, shapes, settings.seed + 1);
    const models = [source, temporaryPath] as const;
    const [before = 0, after = 0] = await measureModels(
      await getDriver(),
      models,
      feeds,
      session,
      modelTurn,
      call.signal,
    );
    latencyMs = ratio(before, after);
    warnings.push(...latencyWarnings(settings, latencyMs));
  }
  return { written, verification, accuracyBudget: confirmed?.report, latencyMs };
}

/** The shapes that the model was read with. */
function shapesOfInputs({ graph }: Opened['model'], shapes: Opened['shapes']): ConvertSettings['inputShapes'] {
  const inputs = graph.inputs.filter(({ tensor }) => tensor === undefined);
  return Object.fromEntries(inputs.map((value) => [value.name, shapes.require(value).dims]));
}

export interface Written {
  readonly params: number;
  readonly macs: number;
  /** Counts of each new pair by the name of the layer it replaced. */
  readonly pairs: ReadonlyMap<string, { readonly params: number; readonly macs: number }>;
  readonly warnings: readonly string[];
}

/** Reads the written file back and counts what is in it. */
async function recount(
  path: string,
  settings: ConvertSettings,
  driver: () => Promise<Driver>,
  records: readonly PairRecord[],
): Promise<Written> {
  const { model, shapes } = await prepareModel(path, {
    inputShapes: settings.inputShapes,
    driver,
    limits: limitsOf(settings.running),
  });
  try {
    const byNode = new Map(findLayers(model.graph, shapes).map((layer) => [layer.node.name, layer]));
    const counted = new Set<string>();
    const pairs = new Map<string, { params: number; macs: number }>();
    for (const record of records) {
      const sum = { params: 0, macs: 0 };
      for (const name of record.nodes) {
        const layer = byNode.get(name);
        if (layer === undefined) {
          throw new LowrankError('VERIFY', `node '${name}' of a new pair is not in the written file`, { place: path });
        }
        const counts = layerCounts(layer);
        sum.macs += counts.macs;
        // Weights that two layers share are in the file once.
        if (!counted.has(record.factors.at(-1)!)) sum.params += counts.params;
      }
      counted.add(record.factors.at(-1)!);
      pairs.set(record.name, sum);
    }
    const stray =
      settings.running.device === 'cuda' ? describeCpuNodes(cpuNodes(model, shapes), 'the written model') : undefined;
    const warnings = stray === undefined ? [] : [stray];
    return { params: countParameters(model.graph), macs: countMacs(model.graph, shapes), pairs, warnings };
  } finally {
    model.file?.close();
  }
}

function latencyWarnings(settings: ConvertSettings, latency: Ratio): string[] {
  const { rankMode } = settings.ranks;
  const percent = `${(100 * latency.ratio).toFixed(1)} % of the original's time`;
  if (isLatencyBudget(rankMode) && latency.ratio > rankMode.fraction) {
    return [`the latency budget of ${rankMode.fraction} was missed: measured whole, the model takes ${percent}`];
  }
  return latency.ratio > 1 ? [`the converted model is slower here: ${percent}`] : [];
}
