import type { Change, LayerReport } from '../contract.js';
import { formatCount, formatKernel } from '../format.js';
import type { NumberedLayer } from '../layer-columns.js';
import { markup } from './markup.js';
import type { Content, Markup } from './markup.js';
import type { TableColumn } from './page.js';

/** The columns that say which layer it is. */
export const LAYER_COLUMNS: readonly TableColumn<NumberedLayer>[] = [
  { header: '#', className: 'number', value: ({ number }) => number },
  { header: 'Layer', className: 'name', value: ({ layer }) => layer.name },
  { header: 'Op', value: ({ layer }) => layer.op },
  { header: 'Kernel', className: 'number', value: ({ layer }) => formatKernel(layer.kernel).replace('x', '×') },
  { header: 'In → out', className: 'number', value: ({ layer }) => channels(layer) },
];

function channels({ in: inputs, out, group }: LayerReport): string {
  return `${inputs} → ${out}${group > 1 ? ` (${group} groups)` : ''}`;
}

function percent(part: number, whole: number): string {
  return `${Math.min(100, whole > 0 ? (100 * part) / whole : 0).toFixed(2)}%`;
}

/** Before and after as numbers and as a bar, relative to the largest layer. */
export function changeCell(change: Change, largest: number, isKept: boolean): Markup {
  const { before, after } = change;
  const numbers: Content = before === after ? formatCount(before) : `${formatCount(before)} → ${formatCount(after)}`;
  const kept = isKept ? 'kept' : '';
  return markup`${numbers}<span class="bar ${kept}" aria-hidden="true"><span style="width:${percent(before, largest)}"></span><span style="width:${percent(after, largest)}"></span></span>`;
}
