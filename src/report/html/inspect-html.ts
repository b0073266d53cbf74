import { fullRank, type InspectLayer, type InspectReport } from '../../contracts/inspect.js';
import { shownName } from '../../contracts/convert.js';
import { formatCount, formatPercent, plural } from '../format.js';
import { numbered, type NumberedLayer, ranksText } from '../layer-columns.js';
import { createChartRenderer, type ChartRenderer } from './chart.js';
import { fileName, warningList } from './convert-html.js';
import { changeCell, largestCount, LAYER_COLUMNS, twoLines } from './layer-table.js';
import { markup, type Markup } from './markup.js';
import { code, dataTable, details, factList, figure, legend, renderPage, section, type TableColumn } from './page.js';
import { drawRankChart, rankRows } from './rank-chart.js';
import { spectrumTiles } from './spectrum-tiles.js';
import { colour } from './theme.js';

const MOST_BARS = 24;

/** Of a full-rank model: parameters that the layers with a spectrum would need as pairs at their energy-90 ranks, over what they have. */
function compressibleShare(layers: readonly InspectLayer[]): number | null {
  let before = 0;
  let after = 0;
  for (const { spectrum, params, breakEvenRank } of layers) {
    if (spectrum === null) continue;
    before += params.after;
    // At the break-even rank the pair is as large as the layer, and its size is proportional to the rank.
    const share = breakEvenRank > 0 ? spectrum.energy90Rank / breakEvenRank : 1;
    after += params.after * Math.min(1, share);
  }
  return before > 0 ? after / before : null;
}

function header(report: InspectReport): Markup {
  const { layers, totals, model } = report;
  const share = compressibleShare(layers);
  const { pairs } = totals;
  const lead =
    pairs > 0
      ? markup`<strong>${pairs} of ${layers.length}</strong> convolutions and dense layers are low-rank pairs.`
      : share === null
        ? markup`${plural(layers.length, 'convolution or dense layer')}; no spectrum was computed.`
        : markup`With ranks that keep 90 % of the squared weights of every layer, its convolutions and dense layers would need about <strong>${formatPercent(share)}</strong> of their parameters.`;
  const card = (label: string, big: string, detail: string): Markup =>
    markup`<li class="card"><span class="label">${label}</span><span class="big">${big}</span><span class="detail muted">${detail}</span></li>`;
  return markup`<p class="eyebrow">lowrank inspection</p><h1 class="name">${fileName(model.path)}</h1><p class="lead">${lead}</p><ul class="cards">${card('Parameters', formatCount(totals.params), 'of the whole model')}${card('Multiply-accumulates (MACs)', formatCount(totals.macs), `for an input of ${model.inputShape.join(' × ')}`)}${card('Convolutions and dense layers', String(layers.length), 'a pair counts as one')}${card('Low-rank pairs', String(totals.pairs), totals.pairs === 0 ? 'none recognized: a full-rank model' : 'already factorized')}</ul>${warningList(report.warnings)}`;
}

function rankSection(renderer: ChartRenderer, layers: readonly InspectLayer[]): Markup | null {
  const rows = rankRows(layers.toSorted((a, b) => b.params.after - a.params.after));
  if (rows.length === 0) return null;
  const shown = rows.slice(0, MOST_BARS);
  const whole =
    shown.length === rows.length
      ? null
      : details(`All ${rows.length} layers in network order`, drawRankChart(renderer, rankRows(layers)));
  const note = whole === null ? 'All layers, largest first' : `The ${MOST_BARS} largest layers`;
  return section(
    'How low the ranks could be',
    markup`<p class="muted">The rank at which a layer still holds 90 % and 99 % of its squared weights, as a share of the largest possible rank. Short bars compress well. At the right: both ranks and the largest.</p>`,
    legend([
      { shape: 'bar', colour: colour('after'), text: '90 %' },
      { shape: 'bar', colour: colour('before'), text: '99 %' },
    ]),
    figure(note, null, [drawRankChart(renderer, shown), whole]),
  );
}

function spectrumSection(renderer: ChartRenderer, layers: readonly InspectLayer[]): Markup | null {
  const entries = layers.flatMap((layer) => {
    const { params, maxRank, rank, spectrum } = layer;
    if (spectrum === null || spectrum.singularValues.length === 0) return [];
    const note = `${rank === null ? 'full rank' : `pair of rank ${rank}`}, at most ${maxRank}; stable rank ${spectrum.stableRank.toFixed(1)}`;
    return [
      { name: shownName(layer), size: params.after, note, spectrum: { singularValues: spectrum.singularValues, rank } },
    ];
  });
  if (entries.length === 0) return null;
  return section(
    'Singular values',
    markup`<p class="muted">Each layer's singular values relative to the first, largest layers first. A dashed line marks the rank of a pair.</p>`,
    spectrumTiles(renderer, entries),
  );
}

function layerColumns(layers: readonly InspectLayer[]): readonly TableColumn<NumberedLayer<InspectLayer>>[] {
  const mostParams = largestCount(layers, 'params');
  const mostMacs = largestCount(layers, 'macs');
  return [
    ...LAYER_COLUMNS,
    {
      header: 'Form',
      className: 'nowrap',
      value: ({ layer }) =>
        layer.pair === null
          ? markup`<span class="tag full">full rank</span>`
          : twoLines(markup`<span class="tag">pair</span>`, `by ${layer.pair.recognizedBy}`),
    },
    {
      header: 'Rank',
      className: 'number',
      value: ({ layer }) =>
        twoLines(
          layer.rank === null ? `at most ${layer.maxRank}` : `${ranksText(layer)} of ${layer.maxRank}`,
          `break-even ${layer.breakEvenRank}`,
        ),
    },
    { header: 'Stable rank', className: 'number', value: ({ layer }) => layer.spectrum?.stableRank.toFixed(1) ?? '–' },
    { header: '90 %', className: 'number', value: ({ layer }) => layer.spectrum?.energy90Rank ?? '–' },
    { header: '99 %', className: 'number', value: ({ layer }) => layer.spectrum?.energy99Rank ?? '–' },
    {
      header: 'Parameters',
      className: 'change',
      value: ({ layer }) => changeCell(layer.params, mostParams, false),
    },
    { header: 'MACs', className: 'change', value: ({ layer }) => changeCell(layer.macs, mostMacs, false) },
    { header: 'Note', className: 'why', value: ({ layer }) => (layer.reason === fullRank ? '' : layer.reason) },
  ];
}

/** The report of an inspection as one HTML page, like `convertHtml`. */
export async function inspectHtml(report: InspectReport): Promise<string> {
  const renderer = await createChartRenderer();
  const { layers, model, tool } = report;
  return renderPage({
    title: `${fileName(model.path)} – lowrank inspection`,
    header: header(report),
    sections: [
      rankSection(renderer, layers),
      spectrumSection(renderer, layers),
      section(
        'All layers',
        markup`<p class="muted">In network order. Break-even is the largest rank at which a pair has fewer parameters and fewer multiply-accumulates than the layer. 90 % and 99 % are the ranks that hold that much of the squared weights.</p>`,
        dataTable('All layers', layerColumns(layers), numbered(layers), 'layers'),
      ),
      section(
        'File',
        factList([
          ['Path', code(model.path)],
          ['SHA-256', code(model.sha256)],
          ['Producer', model.producer === '' ? markup`<span class="muted">not named</span>` : model.producer],
          ['Opset, IR version', `${model.opset}, ${model.irVersion}`],
          ['Input shape', model.inputShape.join(' × ')],
        ]),
      ),
    ],
    footer: markup`Written by ${tool.name} ${tool.version}.`,
  });
}
