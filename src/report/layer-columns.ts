import { type LayerIdentity, type LayerReport, shownName } from '../contracts/convert.js';
import { formatKernel } from './format.js';
import type { Column } from './table.js';

/** A layer with its number, from 1 in the order of the report. */
export interface NumberedLayer<Layer extends LayerIdentity = LayerReport> {
  readonly number: number;
  readonly layer: Layer;
}

export function numbered<Layer extends LayerIdentity>(layers: readonly Layer[]): readonly NumberedLayer<Layer>[] {
  return layers.map((layer, index) => ({ number: index + 1, layer }));
}

/** "64->128"; group convolutions with their groups: "64->128 /32". */
function channelsOf(layer: LayerIdentity): string {
  const groups = layer.group > 1 ? ` /${layer.group}` : '';
  return `${layer.in}->${layer.out}${groups}`;
}

/** "16"; of three factors "12,16": what lies behind the first, and before the last. */
export function ranksText({ rank, ranks }: Pick<LayerReport, 'rank' | 'ranks'>): string {
  return ranks === undefined ? String(rank) : ranks.join(',');
}

/** The columns that say which layer it is. */
export const IDENTITY_COLUMNS: readonly Column<NumberedLayer<LayerIdentity>>[] = [
  { header: '#', align: 'right', importance: 2, value: ({ number }) => String(number) },
  {
    header: 'layer',
    align: 'left',
    importance: 20,
    shrinkTo: 18,
    cut: 'middle',
    value: ({ layer }) => shownName(layer),
    paint: () => 'cyan',
  },
  { header: 'op', align: 'left', importance: 3, value: ({ layer }) => layer.op },
  { header: 'kernel', align: 'right', importance: 4, value: ({ layer }) => formatKernel(layer.kernel) },
  { header: 'in->out', align: 'right', importance: 5, value: ({ layer }) => channelsOf(layer) },
];
