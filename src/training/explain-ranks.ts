import { capacityOf, roomFor, sizeOf } from '../adapt/ranks.js';
import type { Kept } from '../contracts/convert.js';
import type { Choice, ExplainedRanks } from '../contracts/train-explain.js';
import { formatPercent, plural } from '../report/format.js';
import { ranksCell } from '../report/ranks-text.js';
import type { Adaptation } from './adaptation.js';
import { defaultTrainSettings, type TrainSettings } from './options.js';

type Explained = ExplainedRanks['layers'][number];

/** The layers whose ranks are found, with what they begin with, and those that stay as they are. */
export function explainedRanks(
  { layers, start, rule, kept }: Adaptation,
  { adaptRanks }: Pick<TrainSettings, 'adaptRanks'>,
): ExplainedRanks {
  const isAugmented = adaptRanks === 'augmented' || adaptRanks === 'kls';
  return {
    layers: layers.map((layer, at): Explained => {
      const { name, label, scheme, rows, cols } = layer;
      const startRank = start[at]!.core.rows;
      const { rank, bases } = capacityOf(layer, roomFor(layer, startRank), isAugmented);
      const mostRank = adaptRanks === 'kls-fixed' ? startRank : rule.mostOf(layer);
      return { name, label, scheme, rows, cols, startRank, mostRank, room: { rank, bases } };
    }),
    kept,
  };
}

/** What is chosen for the ranks of layers, and why. */
export function rankChoices(adaptation: Adaptation, settings: TrainSettings): readonly Choice[] {
  const { layers, kept } = explainedRanks(adaptation, settings);
  const { adaptRanks, startRank, maxRank } = settings;
  const isChosen = (...names: readonly (keyof TrainSettings)[]): boolean =>
    names.some((name) => String(settings[name]) !== String(defaultTrainSettings[name]));
  const size = sizeOf(
    adaptation.layers,
    layers.map((layer) => layer.startRank),
    { of: 'params', fixed: adaptation.fixed.params },
  );
  const least = startRank ?? maxRank;
  const from = least === null ? 'at most half of what each layer can have' : `at most ${least}, as given`;
  return [
    {
      name: 'ranks',
      value: `found by ${adaptRanks!}`,
      isDefault: false,
      why: cutsOf(adaptation, settings),
    },
    {
      name: 'rank at the start',
      value: ranksCell({ ranks: layers.map((layer) => layer.startRank) }),
      isDefault: !isChosen('startRank', 'maxRank'),
      why: `${from}; ${formatPercent(size / adaptation.whole.params)} of the parameters in one piece`,
    },
    {
      name: 'room for ranks',
      value: `${ranksCell({ ranks: layers.map(({ room }) => room.rank) })}, for bases ${ranksCell({ ranks: layers.map(({ room }) => room.bases) })}`,
      isDefault: !isChosen('maxRank'),
      why: `graphs are padded to it, and emitted anew where ranks leave it; ranks go up to ${ranksCell({ ranks: layers.map(({ mostRank }) => mostRank) })}`,
    },
    {
      name: 'layers adapted',
      value: `${layers.length} of ${layers.length + kept.length}`,
      isDefault: !isChosen('include', 'exclude', 'keepFirst', 'keepLast', 'scheme'),
      why: kept.length === 0 ? 'all that the model has' : keptText(kept),
    },
  ];
}

/** When layers are cut, and to what. */
function cutsOf({ rule }: Adaptation, settings: TrainSettings): string {
  const { adaptRanks, coefficientSteps, targetParams, targetMacs } = settings;
  if (adaptRanks === 'kls-fixed') return 'bases turn with every update, and nothing is cut';
  const when = adaptRanks === 'augmented' ? `behind every ${coefficientSteps + 1} updates` : 'behind every update';
  const share = targetParams ?? targetMacs;
  if (share === null) return `a cut ${when} takes at most ${rule.tolerance} of a layer's ‖σ‖₂`;
  const of = targetParams === null ? 'MACs' : 'parameters';
  return `cuts ${when} come to ${formatPercent(share)} of the ${of} by the middle of the training`;
}

/** Layers of one reason that are named. */
const mostNamed = 4;

/** "not /fc2/Gemm: last layer (--no-keep-last factorizes it)": layers by the reason why they stay. */
function keptText(kept: readonly Kept[]): string {
  return [...new Set(kept.map(({ reason }) => reason))]
    .map((reason) => {
      const names = kept.filter((layer) => layer.reason === reason).map(({ name, label }) => label ?? name);
      const others = names.length > mostNamed ? ` and ${plural(names.length - mostNamed, 'other')}` : '';
      return `not ${names.slice(0, mostNamed).join(', ')}${others}: ${reason}`;
    })
    .join('; ');
}
