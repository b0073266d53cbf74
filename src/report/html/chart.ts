import type { BarSeriesOption, LineSeriesOption, ScatterSeriesOption } from 'echarts/charts';
import type { GridComponentOption } from 'echarts/components';
import type { ComposeOption } from 'echarts/core';
import { displayWidth } from '../text.js';
import { markup, trusted, type Markup } from './markup.js';
import { colour } from './theme.js';

export type ChartOption = ComposeOption<BarSeriesOption | LineSeriesOption | ScatterSeriesOption | GridComponentOption>;

export interface ChartSize {
  /** CSS pixels at which a font of 12 is 12; the picture scales with the page. */
  readonly width: number;
  readonly height: number;
}

export interface ChartText {
  /** What the picture shows, in a few words. */
  readonly title: string;
  /** What can be read from it, for those who do not see it. */
  readonly description: string;
  /** What the pointer shows on an item: by series, then by data index. */
  readonly items?: readonly (readonly string[])[];
}

/** Draws ECharts options as SVG elements without scripts. */
export interface ChartRenderer {
  draw(option: ChartOption, size: ChartSize, text: ChartText, className?: string): Markup;
}

/** Axis lines and labels in the page's colours. */
export const AXIS_STYLE = {
  axisLine: { show: false },
  axisTick: { show: false },
  axisLabel: { color: colour('muted'), fontSize: 11 },
  splitLine: { lineStyle: { color: colour('line') } },
  nameTextStyle: { color: colour('muted'), fontSize: 11 },
} as const;

/** Labels at the items. */
export const LABEL_STYLE = { color: colour('muted'), fontSize: 11 } as const;

/** Room for the longest of the names at the left of bars, at most `most` pixels: 6.8 a letter in a wide font of 11 pixels. */
export function nameColumn(names: readonly string[], most: number): number {
  const letters = Math.max(0, ...names.map(displayWidth));
  return Math.min(most, Math.ceil(14 + 6.8 * letters));
}

/** Height of a row of bars, and of the axis below them. */
export const ROW_HEIGHT = 21;
export const AXIS_HEIGHT = 30;

/** Where rows of bars lie: names at the left, values at the right. */
export function rowGrid(names: readonly string[], nameWidth: number, valueWidth: number) {
  return {
    left: nameColumn(names, nameWidth),
    right: valueWidth,
    top: 4,
    bottom: AXIS_HEIGHT - 4,
    outerBoundsMode: 'none',
  } as const;
}

/** `count` axes of the same rows: bars of one axis stand side by side, those of several lie centred on each other. */
export function rowAxes(names: readonly string[], count: number) {
  const data = [...names];
  const shown = {
    type: 'category',
    ...AXIS_STYLE,
    inverse: true,
    data,
    axisLabel: { ...AXIS_STYLE.axisLabel, color: colour('ink'), interval: 0 },
  } as const;
  const hidden = { type: 'category', show: false, inverse: true, data } as const;
  return [shown, ...Array.from({ length: count - 1 }, () => hidden)];
}

/** From 0 to 100 %. */
export function shareAxis(isWide: boolean) {
  return {
    type: 'value',
    ...AXIS_STYLE,
    max: 1,
    interval: isWide ? 0.25 : 0.5,
    axisLabel: { ...AXIS_STYLE.axisLabel, formatter: (share: number) => `${share * 100} %` },
  } as const;
}

/** 1, 2, 2.5 or 5 times a power of ten, at or above. */
export function roundUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * ([1, 2, 2.5, 5, 10].find((factor) => factor * power >= value * (1 - 1e-9)) ?? 10);
}

const SERIES_INDEX = /ecmeta_series_index="(\d+)"/;
const DATA_INDEX = /ecmeta_data_index="(\d+)"/;

/** One line of ECharts' SVG without its hooks for scripts, and with the item's text as a tooltip. */
function cleanLine(line: string, items: ChartText['items']): string {
  const series = SERIES_INDEX.exec(line)?.[1];
  const index = DATA_INDEX.exec(line)?.[1];
  const item = series === undefined || index === undefined ? undefined : items?.[Number(series)]?.[Number(index)];
  const clean = line
    .replaceAll(/ (?:ecmeta_\w+|class|pointer-events)="[^"]*"/g, '')
    .replaceAll(/font-family:[^;"]*;/g, '')
    .replace('></path>', '/>');
  return item === undefined ? clean : clean.replace(/\/>$/, () => markup`><title>${item}</title></path>`.html);
}

/**
 * What is inside ECharts' `<svg>`: without the background, the style sheet, which only serves hovering, and the clip paths
 * around lines, which cut nothing off and whose names count all charts that the process ever drew.
 */
function insideOf(svg: string, items: ChartText['items']): string {
  const start = svg.indexOf('>') + 1;
  const style = svg.lastIndexOf('<style');
  const end = style === -1 ? svg.lastIndexOf('</svg>') : style;
  return svg
    .slice(start, end)
    .replaceAll(/<g clip-path="[^"]*">([^]*?)<\/g>/g, '$1')
    .replaceAll(/<defs *>[^]*?<\/defs>/g, '')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('<rect'))
    .map((line) => cleanLine(line, items))
    .join('\n');
}

/**
 * Loads the chart library, when a page is asked for. As one file it takes about 0.1 s; its parts (`echarts/core` and so on)
 * are 700 modules, which take 0.9 s on the same machine.
 */
export async function createChartRenderer(): Promise<ChartRenderer> {
  const { init } = await import('echarts/dist/echarts.esm.min.mjs');
  let count = 0;
  return {
    draw(option, { width, height }, text, className = '') {
      const chart = init(null, null, { renderer: 'svg', ssr: true, width, height });
      try {
        chart.setOption({ animation: false, ...option });
        const id = `chart${(count += 1)}`;
        const content = trusted(insideOf(chart.renderToSVGString(), text.items));
        return markup`<svg class="chart ${className}" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="${id}t ${id}d"><title id="${id}t">${text.title}</title><desc id="${id}d">${text.description}</desc>${content}</svg>`;
      } finally {
        chart.dispose();
      }
    },
  };
}
