import { type ConvertReport, type LayerReport, type Ratio, shownName } from '../../contracts/convert.js';
import {
  formatBytes,
  formatChange,
  formatCount,
  formatError,
  formatMilliseconds,
  formatPercent,
  formatSeconds,
  formatSmall,
  formatWhole,
  plural,
} from '../format.js';
import { numbered, type NumberedLayer, ranksText } from '../layer-columns.js';
import { agreementText } from '../agreement-text.js';
import { calibrationText } from '../calibration-text.js';
import { preparationFact } from '../preparation-text.js';
import { recalibrationText } from '../recalibration-text.js';
import { verdictOf } from '../verdict.js';
import { accuracySection } from './accuracy-section.js';
import { drawChangeChart, type ChangeRow } from './change-chart.js';
import { createChartRenderer, type ChartRenderer } from './chart.js';
import { drawErrorChart, errorPoints, markOf, SCHEMES, worstPoints } from './error-chart.js';
import { changeCell, largestCount, LAYER_COLUMNS, twoLines } from './layer-table.js';
import { markup, type Markup } from './markup.js';
import { code, dataTable, details, factList, figure, legend, renderPage, section, type TableColumn } from './page.js';
import { recoveryBox, recoverySection } from './recovery-section.js';
import { engineFact, modelFacts, settingsSection } from './run-sections.js';
import { agreementBox, sensitivitySection } from './sensitivity-section.js';
import type { LayerSpectrum } from './spectrum-chart.js';
import { CHOSEN_RANK_LEGEND, spectrumTiles } from './spectrum-tiles.js';
import { colour } from './theme.js';

export interface ConvertHtmlOptions {
  /** Spectra by layer name; layers without one get no picture. */
  readonly spectra?: Readonly<Record<string, LayerSpectrum>> | undefined;
  /** What repeats the run. */
  readonly commandLine?: string | undefined;
}

/** Bars that are shown at once; the others are one click away. */
const MOST_BARS = 18;
const FEWER = { less: 'fewer', more: 'more' };
const LESS = { less: 'less', more: 'more' };

type MaybeKept = Pick<LayerReport, 'name' | 'label' | 'action' | 'reason' | 'params'>;

const isKept = ({ action }: Pick<LayerReport, 'action'>): boolean => action === 'kept';

export function fileName(path: string): string {
  return path.split(/[/\\]/).at(-1) ?? path;
}

function card(label: string, change: Ratio, format: (value: number) => string, words: typeof FEWER): Markup {
  const worse = change.ratio > 1 ? 'worse' : '';
  const width = Math.min(100, Math.max(0, 100 * change.ratio)).toFixed(1);
  return markup`<li class="card"><span class="label">${label}</span><span class="big ${worse}">${formatChange(change.ratio, words)}</span><span class="detail">${format(change.before)} → ${format(change.after)}</span><div class="meter" aria-hidden="true"><span style="width:${width}%"></span></div><span class="label">${formatPercent(change.ratio)} of the original</span></li>`;
}

function cards(report: ConvertReport): Markup {
  const { params, macs, latencyMs } = report.totals;
  const factorized = report.layers.filter((layer) => !isKept(layer)).length;
  const share = report.layers.length === 0 ? 0 : factorized / report.layers.length;
  return markup`<ul class="cards">${card('Parameters', params, formatCount, FEWER)}${card('Multiply-accumulates (MACs)', macs, formatCount, FEWER)}${latencyMs === null ? null : card('Measured time of one run', latencyMs, formatMilliseconds, LESS)}<li class="card"><span class="label">Layers factorized</span><span class="big">${factorized} of ${report.layers.length}</span><span class="detail">File of ${formatBytes(report.output.bytes)}</span><div class="meter" aria-hidden="true"><span style="width:${(100 * share).toFixed(1)}%"></span></div><span class="label">${report.layers.length - factorized} kept at full rank</span></li></ul>`;
}

const ICONS = { good: '✓', caution: '!', unknown: '?' } as const;

function verdictBox(report: ConvertReport): Markup {
  const { level, short, finding, advice } = verdictOf(report);
  return markup`<div class="verdict ${level}"><span class="icon" aria-hidden="true">${ICONS[level]}</span><p><strong>${short}.</strong> ${finding} ${advice}</p></div>`;
}

/** What the written model has of the original; of one that was recovered, what it had before too. */
function closenessBox({ agreement, recovery }: ConvertReport): Markup | null {
  if (recovery === undefined) return agreementBox(agreement);
  return recoveryBox(recovery, agreement === undefined ? '' : ` Before it: ${agreementText(agreement)}.`);
}

function header(report: ConvertReport): Markup {
  const { layers, totals, recovery, warnings } = report;
  const factorized = layers.filter((layer) => !isKept(layer)).length;
  const lead =
    factorized === 0
      ? markup`No layer was factorized: the written model computes what the original does. The reasons stand below.`
      : markup`${factorized} of ${layers.length} convolutions and dense layers became low-rank pairs: <strong>${formatChange(totals.params.ratio, FEWER)}</strong> parameters, <strong>${formatChange(totals.macs.ratio, FEWER)}</strong> multiply-accumulates.`;
  return markup`<p class="eyebrow">lowrank conversion report</p><h1 class="name">${fileName(report.model.path)} → ${fileName(report.output.path)}</h1><p class="lead">${lead}</p>${verdictBox(report)}${closenessBox(report)}${cards(report)}${warningList([...warnings, ...(recovery?.warnings ?? [])])}`;
}

export function warningList(warnings: readonly string[]): Markup | null {
  if (warnings.length === 0) return null;
  return markup`<section><h2>${plural(warnings.length, 'warning')}</h2><ul class="reasons warnings">${warnings.map((warning) => markup`<li>${warning}</li>`)}</ul></section>`;
}

function changeRows(layers: readonly LayerReport[], key: 'params' | 'macs'): readonly ChangeRow[] {
  return layers.map((layer) => ({
    name: shownName(layer),
    before: layer[key].before,
    after: layer[key].after,
    isKept: isKept(layer),
  }));
}

const CHANGE_LEGEND = legend([
  { shape: 'bar', colour: colour('before'), text: 'original' },
  { shape: 'bar', colour: colour('after'), text: 'written, factorized' },
  { shape: 'bar', colour: colour('kept'), text: 'written, kept at full rank' },
]);

function changeFigure(renderer: ChartRenderer, report: ConvertReport, key: 'params' | 'macs', title: string): Markup {
  const rows = changeRows(report.layers, key);
  const { before, after, ratio } = report.totals[key];
  const sorted = rows.toSorted((a, b) => b.before - a.before);
  const shown = sorted.slice(0, MOST_BARS);
  const others = sorted.slice(MOST_BARS);
  const description = `The model went from ${formatCount(before)} to ${formatCount(after)}, a ratio of ${ratio.toFixed(3)}. The table of all layers holds the numbers.`;
  const total = (when: 'before' | 'after'): string => formatCount(others.reduce((sum, row) => sum + row[when], 0));
  const note =
    others.length === 0
      ? 'All layers, largest first'
      : `The ${MOST_BARS} largest layers; the other ${others.length} together: ${total('before')} → ${total('after')}`;
  const picture = drawChangeChart(renderer, shown, { title: `${title} of the largest layers`, description });
  const whole =
    others.length === 0
      ? null
      : details(
          `All ${rows.length} layers in network order`,
          drawChangeChart(renderer, rows, { title: `${title} of all layers`, description }),
        );
  return figure(title, note, [picture, whole]);
}

function sizeSection(renderer: ChartRenderer, report: ConvertReport): Markup {
  return section(
    'Where the size went',
    CHANGE_LEGEND,
    markup`<div class="two">${changeFigure(renderer, report, 'params', 'Parameters')}${changeFigure(renderer, report, 'macs', 'Multiply-accumulates')}</div>`,
  );
}

/** Kept layers by reason, the costliest reason first. */
export function keptSection(layers: readonly MaybeKept[]): Markup | null {
  const kept = layers.filter(isKept);
  if (kept.length === 0) return null;
  const groups = new Map<string, MaybeKept[]>();
  for (const layer of kept) groups.set(layer.reason, [...(groups.get(layer.reason) ?? []), layer]);
  const reasons = [...groups]
    .map(([reason, members]) => ({
      reason,
      members,
      params: members.reduce((sum, { params }) => sum + params.before, 0),
    }))
    .toSorted((a, b) => b.params - a.params);
  const items = reasons.map(({ reason, members, params }) => {
    const names = members.map(shownName);
    const list = names.slice(0, 3).join(', ') + (names.length > 3 ? `, and ${names.length - 3} more` : '');
    return markup`<li><strong>${reason}</strong>: ${plural(members.length, 'layer')}, ${formatCount(params)} parameters <span class="muted name">(${list})</span></li>`;
  });
  return section(`Why ${plural(kept.length, 'layer')} stayed at full rank`, markup`<ul class="reasons">${items}</ul>`);
}

function spectrumSection(
  renderer: ChartRenderer,
  layers: readonly LayerReport[],
  spectra: Readonly<Record<string, LayerSpectrum>>,
): Markup | null {
  const entries = layers.flatMap((layer) => {
    const spectrum = Object.hasOwn(spectra, layer.name) ? spectra[layer.name] : undefined;
    if (spectrum === undefined) return [];
    const error = layer.weightError === null ? '' : `, weight error ${formatError(layer.weightError)}`;
    const ranks = layer.ranks === undefined ? (spectrum.rank ?? '?') : ranksText(layer);
    const note = `rank ${ranks} of ${layer.maxRank}${error}`;
    return [{ name: shownName(layer), size: layer.params.before, note, spectrum }];
  });
  if (entries.length === 0) return null;
  return section(
    'Singular values and chosen ranks',
    markup`<p class="muted">Each layer's singular values relative to the first. What lies right of the dashed line was cut off: the higher the grey part, the more was lost.</p>`,
    CHOSEN_RANK_LEGEND,
    spectrumTiles(renderer, entries),
  );
}

function errorSection(renderer: ChartRenderer, layers: readonly LayerReport[]): Markup | null {
  const points = errorPoints(numbered(layers));
  if (points.length === 0) return null;
  const worst = worstPoints(points, 5).map(
    ({ number, layer, functionError }, index) =>
      markup`${index === 0 ? '' : ', '}${number} <code>${shownName(layer)}</code> ${formatError(functionError)}`,
  );
  return section(
    'How far each layer moved',
    markup`<p class="muted">Weight error is the change of the weights; function error the change of the layer's output after its activation, for random inputs. Both are relative: 0 is exact. Below the dashed line the output moved less than the weights. Larger marks are larger layers. The numbers are those of the table below.</p>`,
    legend([
      ...SCHEMES.filter((scheme) => points.some((point) => point.scheme === scheme)).map((scheme) => ({
        shape: markOf(scheme).symbol,
        colour: colour(markOf(scheme).colour),
        text: markOf(scheme).text,
      })),
      { shape: 'line', colour: colour('muted'), text: 'equal errors' },
    ]),
    drawErrorChart(renderer, points),
    markup`<p class="note">Largest function errors: ${worst}</p>`,
  );
}

function layerColumns(layers: readonly LayerReport[]): readonly TableColumn<NumberedLayer>[] {
  const mostParams = largestCount(layers, 'params');
  const mostMacs = largestCount(layers, 'macs');
  return [
    ...LAYER_COLUMNS,
    {
      header: 'Action',
      value: ({ layer }) =>
        twoLines(markup`<span class="tag ${layer.action}">${layer.action}</span>`, isKept(layer) ? null : layer.scheme),
    },
    {
      header: 'Rank',
      className: 'number',
      value: ({ layer }) =>
        twoLines(
          layer.rank === null || isKept(layer) ? '–' : `${ranksText(layer)} of ${layer.maxRank}`,
          `break-even ${layer.breakEvenRank}`,
        ),
    },
    {
      header: 'Parameters',
      className: 'change',
      value: ({ layer }) => changeCell(layer.params, mostParams, isKept(layer)),
    },
    { header: 'MACs', className: 'change', value: ({ layer }) => changeCell(layer.macs, mostMacs, isKept(layer)) },
    { header: 'Weight error', className: 'number error', value: ({ layer }) => errorText(layer.weightError) },
    { header: 'Function error', className: 'number error', value: ({ layer }) => errorText(layer.functionError) },
    ...(layers.some(({ dataError }) => dataError !== undefined)
      ? [{ header: 'Error on images', className: 'number error', value: dataErrorText }]
      : []),
    ...(layers.some(({ sensitivity }) => sensitivity !== undefined)
      ? [{ header: 'Outputs feel', className: 'number error', value: feltText }]
      : []),
    { header: 'Why', className: 'why', value: ({ layer }) => layer.reason },
  ];
}

function dataErrorText({ layer }: NumberedLayer): string {
  return errorText(layer.dataError ?? null);
}

function feltText({ layer }: NumberedLayer): string {
  return isKept(layer) || layer.sensitivity === undefined ? '–' : formatSmall(layer.sensitivity.change);
}

function errorText(error: number | null): string {
  return error === null ? '–' : formatError(error);
}

function layerSection(layers: readonly LayerReport[]): Markup {
  return section(
    'All layers',
    markup`<p class="muted">In network order. Break-even is the largest rank at which a pair has fewer parameters and fewer multiply-accumulates than the layer; 0 where there is none.</p>`,
    dataTable('All layers', layerColumns(layers), numbered(layers), 'layers'),
  );
}

function factsSection(report: ConvertReport): Markup {
  const { model, output, seconds, calibration, recalibration } = report;
  return section(
    'Files',
    factList([
      ...modelFacts('Original', model),
      [
        'Written',
        output.data === undefined ? code(output.path) : markup`${code(output.path)} and ${code(output.data.path)}`,
      ],
      ['SHA-256', code(output.sha256)],
      ['Size', `${formatWhole(output.bytes)} bytes`],
      ...(calibration === undefined ? [] : [['Calibrated', calibrationText(calibration)] as const]),
      ...(recalibration === undefined || recalibration.layers === 0
        ? []
        : [['Recalibrated', recalibrationText(recalibration)] as const]),
      ...preparationFact('Images as inputs', report.accuracyBudget, calibration, recalibration, report),
      engineFact(report.engine),
      [
        'Time',
        `${formatSeconds(seconds.total)}: read ${formatSeconds(seconds.read)}, factorize ${formatSeconds(seconds.factorize)}, write ${formatSeconds(seconds.write)}, verify ${formatSeconds(seconds.verify)}`,
      ],
    ]),
  );
}

/**
 * The report of a conversion as one HTML page: no scripts, nothing loaded, light and dark, printable. Loads the chart library
 * when called.
 */
export async function convertHtml(report: ConvertReport, options: ConvertHtmlOptions = {}): Promise<string> {
  const renderer = await createChartRenderer();
  const { layers, tool, recovery } = report;
  return renderPage({
    title: `${fileName(report.model.path)} – lowrank conversion`,
    header: header(report),
    sections: [
      layers.length === 0 ? null : sizeSection(renderer, report),
      recovery === undefined ? null : recoverySection(renderer, recovery),
      sensitivitySection(renderer, report),
      accuracySection(report),
      keptSection(layers),
      spectrumSection(renderer, layers, options.spectra ?? {}),
      errorSection(renderer, layers),
      layers.length === 0 ? null : layerSection(layers),
      settingsSection(report.settings, options.commandLine, [['seed', report.seed]]),
      factsSection(report),
    ],
    footer: markup`Written by ${tool.name} ${tool.version}. Counts are of the written file, reloaded.`,
  });
}
