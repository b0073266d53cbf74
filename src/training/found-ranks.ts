import { sizeOf } from '../adapt/ranks.js';
import type { EpochRanks, RankAdaptation } from '../contracts/train.js';
import { type Adaptation } from './adaptation.js';
import type { TrainSettings } from './options.js';
import type { Trainer } from './trainer.js';

/** What finding ranks has come to. */
export interface FoundRanks {
  /** Of each layer, in order, largest first: as many as its rank. */
  readonly singularValues: readonly (readonly number[])[];
  /** In linear algebra outside of the graphs, since it was last asked. */
  readonly seconds: number;
}

/** Singular values of a layer that reports have. */
const mostValues = 16;

/** What an epoch says of ranks; nothing where none are found. */
export async function ranksOf(
  adaptation: Adaptation | undefined,
  trainer: Trainer,
): Promise<{ readonly adaptation?: EpochRanks }> {
  const found = await trainer.found?.();
  if (adaptation === undefined || found === undefined) return {};
  const ranks = found.singularValues.map(({ length }) => length);
  const { layers, fixed, whole } = adaptation;
  const inOnePiece = layers.filter(({ wholeFrom }, at) => ranks[at]! >= wholeFrom).map(({ name }) => name);
  const params = sizeOf(layers, ranks, { of: 'params', fixed: fixed.params });
  const macs = sizeOf(layers, ranks, { of: 'macs', fixed: fixed.macs });
  return {
    adaptation: {
      ranks,
      singularValues: found.singularValues.map((values) => values.slice(0, mostValues)),
      params,
      macs,
      paramsShare: params / whole.params,
      macsShare: macs / whole.macs,
      seconds: found.seconds,
      ...(inOnePiece.length === 0 ? {} : { inOnePiece }),
    },
  };
}

/** What a report says of how ranks are found; nothing where none are. */
export function describeAdaptation(
  adaptation: Adaptation | undefined,
  { adaptRanks, tolerance, targetParams, targetMacs }: TrainSettings,
): { readonly adaptation?: RankAdaptation } {
  if (adaptation === undefined || adaptRanks === null) return {};
  const isCut = adaptRanks !== 'kls-fixed' && (targetParams ?? targetMacs) === null;
  return {
    adaptation: {
      method: adaptRanks,
      tolerance: isCut ? (tolerance ?? adaptation.rule.tolerance) : null,
      layers: adaptation.layers.map(({ name, label, scheme, rows, cols }, at) => ({
        ...{ name, label, scheme, rows, cols },
        startRank: adaptation.start[at]!.core.rows,
      })),
      whole: adaptation.whole,
    },
  };
}
