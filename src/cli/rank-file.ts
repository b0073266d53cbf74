import { LowrankError, messageOf } from '../errors.js';
import { readRegularText, unusable } from '../files/regular.js';
import type { LayerRank } from '../factorize/settings.js';

/** A rank file. Throws INPUT or FORMAT. */
export function readRanks(path: string): Record<string, LayerRank> {
  let text: string;
  try {
    text = readRegularText(path);
  } catch (error) {
    throw unusable(error, 'cannot read the rank file');
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new LowrankError('FORMAT', `the rank file is not JSON: ${messageOf(error)}`, { place: path });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new LowrankError('FORMAT', 'the rank file is not an object', {
      place: path,
      remedy: 'write {"layer name": 16, …}',
    });
  }
  for (const [name, rank] of Object.entries(value)) {
    if (isLayerRank(rank)) continue;
    throw new LowrankError('FORMAT', `rank of '${name}' is ${JSON.stringify(rank)}`, {
      place: path,
      remedy:
        'give a whole number, "keep", {"rank": 16, "scheme": "channel"}, or {"rank": [12, 16], "scheme": "tucker"}',
    });
  }
  return value as Record<string, LayerRank>;
}

/** Whether the scheme fits the layer is seen when ranks are planned. */
function isLayerRank(value: unknown): value is LayerRank {
  if (typeof value === 'number' || value === 'keep') return true;
  if (typeof value !== 'object' || value === null) return false;
  const { rank, scheme, ...others } = value as Readonly<Record<string, unknown>>;
  const isRank = typeof rank === 'number' || (scheme === 'tucker' && isTuckerRank(rank));
  return isRank && typeof scheme === 'string' && Object.keys(others).length === 0;
}

function isTuckerRank(rank: unknown): boolean {
  return Array.isArray(rank) && rank.length === 2 && rank.every((value) => typeof value === 'number');
}
