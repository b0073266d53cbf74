import type { EpochRanks, TrainReport } from '../contracts/train.js';
import { formatPercent, plural } from './format.js';

/** "ranks 4-32, 41.0 % of the parameters". */
export function ranksText(found: EpochRanks): string {
  return `ranks ${ranksCell(found)}, ${formatPercent(found.paramsShare)} of the parameters`;
}

/** "4-32"; of a few layers each. */
export function ranksCell({ ranks }: Pick<EpochRanks, 'ranks'>): string {
  const [least, most] = [Math.min(...ranks), Math.max(...ranks)];
  if (ranks.length <= 4) return ranks.join(' ');
  return least === most ? String(least) : `${least}-${most}`;
}

/** "2 layers, whose pairs would be no smaller: /conv1/Conv, /fc1/Gemm"; '' where the written model has none. */
export function inOnePieceText({ adaptation, epochs, written }: TrainReport): string {
  const names = epochs.find(({ epoch }) => epoch === written?.epoch)?.adaptation?.inOnePiece ?? [];
  if (names.length === 0) return '';
  const labels = names.map((name) => adaptation?.layers.find((layer) => layer.name === name)?.label ?? name);
  return `${plural(names.length, 'layer')}, whose ${names.length === 1 ? 'pair' : 'pairs'} would be no smaller: ${labels.join(', ')}`;
}
