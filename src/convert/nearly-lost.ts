import { type LayerReport, shownName } from '../contracts/convert.js';

/** Of what a layer gives: beyond this, hardly anything of it is left. */
const nearlyAll = 0.9;
/** What the outputs do not feel, in nats or half squared relative errors. */
const hardlyFelt = 0.01;
/** Layers that a warning names. */
const mostNamed = 3;

/** Layers of which hardly anything is left, where nothing says that the outputs do not feel it. */
export function nearlyLost(layers: readonly LayerReport[]): string[] {
  const lost = layers.filter(({ rank, dataError, functionError, sensitivity }) => {
    if (rank === null || (sensitivity !== undefined && sensitivity.change < hardlyFelt)) return false;
    return (dataError ?? functionError ?? 0) > nearlyAll;
  });
  if (lost.length === 0) return [];
  const named = lost
    .slice(0, mostNamed)
    .map((layer) => `'${shownName(layer)}' at rank ${layer.rank} of ${layer.maxRank}`)
    .join(', ');
  const more = lost.length > mostNamed ? ` and ${lost.length - mostNamed} more` : '';
  return [
    `hardly anything is left of what ${named}${more} gave: keep ${lost.length === 1 ? 'it' : 'them'} with --exclude, give layers more with --min-rank, or raise the budget`,
  ];
}
