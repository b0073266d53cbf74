import { changeUnitTexts } from './agreement-text.js';
import type { TradeOff, TradeOffPoint } from '../contracts/convert.js';
import { formatSmall, formatPercent, formatWhole } from './format.js';
import { type Column, renderTable } from './table.js';
import type { Terminal } from './terminal.js';

/** Options that the budgets are values of. */
const names: Readonly<Record<TradeOff['of'], string>> = {
  macs: 'MACs budget',
  params: 'params budget',
  latency: 'latency budget',
};

/** A budget as an option takes it: "0.7". */
export function budgetText({ budget }: TradeOffPoint): string {
  return String(Number(budget.toPrecision(3)));
}

export function agreementOf({ measured }: TradeOffPoint): string {
  return measured === null || measured.agreement === null ? '' : formatPercent(measured.agreement);
}

function columnsOf({ of, unit }: TradeOff): readonly Column<TradeOffPoint>[] {
  const { short } = changeUnitTexts[unit];
  return [
    { header: names[of], align: 'right', importance: 20, value: budgetText },
    { header: 'MACs', align: 'right', importance: 12, value: ({ macs }) => formatPercent(macs) },
    { header: 'params', align: 'right', importance: 11, value: ({ params }) => formatPercent(params) },
    { header: `${short} expected`, align: 'right', importance: 19, value: ({ expected }) => formatSmall(expected) },
    {
      header: `${short} measured`,
      align: 'right',
      importance: 18,
      value: ({ measured }) => (measured === null ? '' : formatSmall(measured.change)),
    },
    { header: 'same class', align: 'right', importance: 17, value: agreementOf },
    {
      header: 'images',
      align: 'right',
      importance: 5,
      value: ({ measured }) => (measured === null ? '' : formatWhole(measured.images)),
    },
    {
      header: '',
      align: 'left',
      importance: 16,
      value: ({ isChosen }) => (isChosen ? 'chosen' : ''),
      paint: () => 'green',
    },
  ];
}

/** What each budget is expected to cost, one line each, and what was measured. */
export function renderTradeOff(tradeOff: TradeOff, terminal: Terminal): readonly string[] {
  return renderTable(columnsOf(tradeOff), tradeOff.points, terminal);
}

/** At most `most` of the points, evenly spaced; the chosen one and those that were measured stay. */
export function fewerPoints(points: readonly TradeOffPoint[], most: number): readonly TradeOffPoint[] {
  if (points.length <= most) return points;
  const last = points.length - 1;
  const kept = new Set(Array.from({ length: most }, (_, index) => Math.round((index * last) / (most - 1))));
  return points.filter(({ isChosen, measured }, index) => isChosen || measured !== null || kept.has(index));
}
