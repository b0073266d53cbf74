import type { EpochRanks } from '../contracts/train.js';
import { formatPercent } from './format.js';

/** "ranks 4-32, 41.0 % of the parameters". */
export function ranksText(found: EpochRanks): string {
  return `ranks ${ranksCell(found)}, ${formatPercent(found.paramsShare)} of the parameters`;
}

/** "4-32"; of a few layers each. */
export function ranksCell({ ranks }: EpochRanks): string {
  const [least, most] = [Math.min(...ranks), Math.max(...ranks)];
  if (ranks.length <= 4) return ranks.join(' ');
  return least === most ? String(least) : `${least}-${most}`;
}
