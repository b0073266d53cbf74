import { LowrankError } from '../errors.js';
import type { Candidate } from '../factorize/candidates.js';
import { planRanks } from '../factorize/plan.js';
import { selectLayers } from '../factorize/select-layers.js';
import type { RankMode } from '../factorize/settings.js';
import { createLinalg } from '../linalg/linalg.js';
import { namesOf } from '../rewrite/layer-label.js';
import { prepareModel } from '../rewrite/prepare.js';
import { countMacs, countParameters } from '../rewrite/count.js';
import { loadDriver } from '../runtime/driver.js';
import type { TrainCall } from '../training/options.js';
import { settingsOf, type ThenOptions } from './then.js';

/**
 * The layers that a conversion of the model would cut into pairs, by what can be told of them before they are trained.
 * Throws UNSUPPORTED where there are none, USAGE for ranks of layers that there are not.
 */
export async function layersToConvert(
  { model: path, signal }: Pick<TrainCall, 'model' | 'signal'>,
  then: ThenOptions,
): Promise<readonly Candidate[]> {
  const { selection: chosen, fitting, ranks } = settingsOf(then);
  const { model, shapes } = await prepareModel(path, { driver: loadDriver, signal });
  try {
    const { selection } = selectLayers(model, shapes, chosen, fitting.init);
    const { candidates, kept } = selection;
    const named = candidates.filter((candidate) => isNamed(candidate, ranks.rankMode));
    if (named.length === 0) throw nothing(path, [...new Set(kept.values())]);
    if (ranks.rankMode.kind !== 'scale' && ranks.rankMode.kind !== 'ranks') return named;
    const linalg = await createLinalg({ driver: await loadDriver() });
    try {
      const totals = { params: countParameters(model.graph), macs: countMacs(model.graph, shapes) };
      const plans = await planRanks(candidates, { settings: ranks, linalg, totals, signal });
      const notes = plans.map(({ note }) => note);
      if (plans.every(({ trials }) => trials === null)) throw nothing(path, [...new Set(notes)]);
      return plans.filter(({ trials }) => trials !== null).map(({ candidate }) => candidate);
    } finally {
      await linalg.close();
    }
  } finally {
    model.file?.close();
  }
}

function isNamed({ layers }: Candidate, mode: RankMode): boolean {
  if (mode.kind !== 'ranks') return true;
  const ranks = layers.flatMap(namesOf).map((name) => mode.ranks.get(name));
  return ranks.some((rank) => rank !== undefined && rank !== 'keep');
}

function nothing(place: string, reasons: readonly string[]): LowrankError {
  return new LowrankError('UNSUPPORTED', 'no layer of the model would become a pair behind its epochs in full rank', {
    place: `${place}: ${reasons.join('; ')}`,
    remedy: 'say in --then which ranks and layers, or leave --warmup-full out',
  });
}
