import type {
  Agreement,
  ConvertReport,
  LayerReport,
  LayerSensitivity,
  TradeOff,
} from '../../../src/contracts/convert.js';

/** Made-up, smooth curves: what the outputs feel falls with the rank, and some layers are felt a thousand times more. */
function sensitivityOf(layer: LayerReport, index: number): LayerSensitivity | undefined {
  if (layer.reason === 'first layer' || layer.reason === 'last layer') return undefined;
  const scheme = layer.scheme ?? 'channel';
  const scale = 10 ** (2 * Math.sin(index * 1.3) - 2);
  const changeAt = (rank: number): number => scale * (1 - rank / layer.maxRank) ** 3;
  const schemes = scheme === 'spatial' ? (['spatial', 'channel'] as const) : [scheme];
  const curve = schemes.flatMap((each) =>
    Array.from({ length: 12 }, (_, step) => {
      const rank = Math.max(1, Math.round(((step + 1) / 12) * layer.breakEvenRank));
      const share = rank / layer.breakEvenRank;
      const change = changeAt(rank) * (each === scheme ? 1 : 1.4);
      const [params, macs] = [Math.round(share * layer.params.before), Math.round(share * layer.macs.before)];
      return { scheme: each, rank, params, macs, loss: (1 - share) ** 2, change };
    }),
  );
  return { change: layer.rank === null ? 0 : changeAt(layer.rank), curve };
}

export const goodAgreement: Agreement = {
  data: 'synthetic',
  images: 128,
  top1: { share: 0.9609375, ci95: [0.9118, 0.9832] },
  kl: { mean: 0.0204, ci95: [0.0151, 0.0257] },
  outputs: [{ name: 'logits', relativeError: 0.0613 }],
  advice: null,
};

function tradeOff(chosen: number): TradeOff {
  const budgets = Array.from({ length: 17 }, (_, index) => 0.2 + 0.05 * index);
  const points = budgets.map((budget, index) => {
    const predicted = 3 * Math.exp(-9 * (budget - 0.1));
    const isMeasured = index % 4 === 2;
    return {
      budget,
      params: budget * 0.94,
      macs: budget,
      predicted,
      measured: isMeasured ? { change: predicted * 1.3, agreement: Math.exp(-predicted), images: 128 } : null,
      expected: predicted * 1.25,
      isChosen: index === chosen,
    };
  });
  return { of: 'macs', unit: 'kl', points };
}

/** The report of a conversion whose ranks were chosen by what the outputs feel. */
export function sensitive(report: ConvertReport): ConvertReport {
  const layers = report.layers.map((layer, index) => {
    const sensitivity = sensitivityOf(layer, index);
    return sensitivity === undefined ? layer : Object.assign({}, layer, { sensitivity });
  });
  return {
    ...report,
    layers,
    sensitivity: { by: 'gradients', unit: 'kl', images: 32, seconds: 41.2 },
    tradeOff: tradeOff(6),
    agreement: goodAgreement,
  };
}
