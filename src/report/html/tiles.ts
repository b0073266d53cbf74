import { plural } from '../format.js';
import { markup, type Markup } from './markup.js';
import { details } from './page.js';

export interface Tile {
  /** The tiles with the largest sizes are shown at once, the others are one click away. */
  readonly size: number;
  draw(): Markup;
}

const SHOWN_AT_ONCE = 12;

function grid(tiles: readonly Tile[]): Markup {
  return markup`<div class="tiles">${tiles.map((tile) => tile.draw())}</div>`;
}

/** One small picture a layer: the largest first, then the others in network order. */
export function layerTiles(tiles: readonly Tile[]): Markup {
  const first = tiles.toSorted((a, b) => b.size - a.size).slice(0, SHOWN_AT_ONCE);
  const others = tiles.filter((tile) => !first.includes(tile));
  const rest = others.length === 0 ? null : details(`The ${plural(others.length, 'other layer')}`, grid(others));
  return markup`${grid(first)}${rest}`;
}
