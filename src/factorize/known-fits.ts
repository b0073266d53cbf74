import type { Fit } from './fit.js';
import { inits } from './inits/index.js';
import type { Plan, Trial } from './plan-types.js';
import type { LayerRank } from './settings.js';
import type { InitName } from './types.js';

/** A pair as it came out of a fit, with how good it is: the smaller, the better. */
export type RatedFit = Omit<Fit, 'candidate' | 'note' | 'seconds'> & { readonly rating: number };

/** Pairs that one initialization fitted before, by the name of the layer, scheme and rank. */
export interface KnownFits {
  get(layer: string, trial: Trial): RatedFit | undefined;
  put(layer: string, fit: RatedFit): void;
}

/** Pairs of all models that a search converts. */
export interface FitsOfSearch {
  /** Of a model with these plans: those of others too, but where layers are fitted to what the layers before have become. */
  of(init: InitName, plans: readonly Plan[]): KnownFits;
}

/** Bytes of factors that are kept of one initialization; the oldest go first. */
const mostBytes = 256e6;

export function fitsOfSearch(): FitsOfSearch {
  const known = new Map<InitName, { readonly models: string; readonly fits: KnownFits }>();
  return {
    of: (init, plans) => {
      const isSequential = inits[init].needs === 'sequence';
      const models = isSequential ? JSON.stringify(plans.map(rankOf)) : '';
      const found = known.get(init);
      if (found?.models === models) return found.fits;
      const fits = knownFits();
      known.set(init, { models, fits });
      return fits;
    },
  };
}

export function knownFits(limit: number = mostBytes): KnownFits {
  const fits = new Map<string, RatedFit>();
  const keyOf = (layer: string, { scheme, rank, inner = rank }: Trial): string => `${scheme} ${rank} ${inner} ${layer}`;
  let bytes = 0;
  return {
    get: (layer, trial) => fits.get(keyOf(layer, trial)),
    put: (layer, fit) => {
      const key = keyOf(layer, fit);
      if (fits.has(key)) return;
      fits.set(key, fit);
      bytes += bytesOf(fit);
      for (const [oldest, old] of fits) {
        if (bytes <= limit) break;
        fits.delete(oldest);
        bytes -= bytesOf(old);
      }
    },
  };
}

function bytesOf({ pair: { left, right, inner }, shift }: RatedFit): number {
  const own = (inner?.basis.data.byteLength ?? 0) + (inner?.core.data.byteLength ?? 0);
  return left.data.byteLength + right.data.byteLength + own + (shift?.byteLength ?? 0);
}

/** What `--ranks` would say for a plan. */
export function rankOf({ trials }: Plan): LayerRank {
  if (trials === null) return 'keep';
  const [{ scheme, rank, inner }] = trials;
  return { rank: inner === undefined ? rank : [inner, rank], scheme };
}
