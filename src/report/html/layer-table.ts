import { type Change, type LayerIdentity, type LayerReport, shownName } from '../../contracts/convert.js';
import { formatCount, formatKernel } from '../format.js';
import type { NumberedLayer } from '../layer-columns.js';
import { markup, type Content, type Markup } from './markup.js';
import type { TableColumn } from './page.js';

/** A value, and a smaller line below it. */
export function twoLines(value: Content, below: Content): Markup {
  return markup`${value}<span class="below">${below}</span>`;
}

function shapeOf({ op, kernel, in: inputs, out, group, activation }: LayerIdentity): string {
  const isPlain = kernel.every((size) => size === 1) && op !== 'Conv';
  const size = isPlain ? '' : ` ${formatKernel(kernel).replaceAll('x', '×')}`;
  const groups = group > 1 ? `, ${group} groups` : '';
  return `${op}${size}, ${inputs} → ${out}${groups}${activation === 'linear' ? '' : `, ${activation}`}`;
}

/** The node's name too, where another is shown: viewers of graphs have that. */
function below(layer: LayerIdentity): Content {
  const shape = shapeOf(layer);
  return shownName(layer) === layer.name ? shape : markup`${shape}, <span class="name">${layer.name}</span>`;
}

/** The columns that say which layer it is. */
export const LAYER_COLUMNS: readonly TableColumn<NumberedLayer<LayerIdentity>>[] = [
  { header: '#', className: 'number', value: ({ number }) => number },
  {
    header: 'Layer',
    className: 'layer',
    value: ({ layer }) => twoLines(markup`<span class="name">${shownName(layer)}</span>`, below(layer)),
  },
];

function percent(part: number, whole: number): string {
  return `${Math.min(100, whole > 0 ? (100 * part) / whole : 0).toFixed(2)}%`;
}

/** Before and after as numbers and as a bar, relative to the largest layer. */
export function changeCell(change: Change, largest: number, isKept: boolean): Markup {
  const { before, after } = change;
  const numbers = before === after ? formatCount(before) : `${formatCount(before)} → ${formatCount(after)}`;
  const kept = isKept ? 'kept' : '';
  return markup`${numbers}<span class="bar ${kept}" aria-hidden="true"><span style="width:${percent(before, largest)}"></span><span style="width:${percent(after, largest)}"></span></span>`;
}

/** The bar's scale: the largest count of any layer. */
export function largestCount(layers: readonly LayerReport[], key: 'params' | 'macs'): number {
  return Math.max(1, ...layers.map((layer) => Math.max(layer[key].before, layer[key].after)));
}
