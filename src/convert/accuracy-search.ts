import { type Choice, solveBudget } from '../factorize/budget.js';

/** One choice per layer: an index into its choices; 0 keeps the layer. */
export type Picks = readonly number[];

/** What a conversion does to the model's answers. */
export interface Measured {
  /** Top-1 that is lost, as a fraction; negative where it is gained. */
  readonly drop: number;
  /** What the mean cross-entropy rises by. */
  readonly lossIncrease: number;
}

/** `sensitivity`: one group of layers converted, on a sample of the images; `search`: on all of them. */
export type Purpose = 'sensitivity' | 'search';

export interface AccuracySearch {
  /** Of each layer; the first keeps it, without error. Errors are fractions of ‖W‖²_F, or what `arePriced` says. */
  readonly layers: readonly (readonly Choice[])[];
  /** Errors are what the outputs are expected to change by: their prices need not be measured. Default false. */
  readonly arePriced?: boolean;
  /** What the model costs beside these layers. */
  readonly fixedCost: number;
  /** Top-1 that may be lost, as a fraction. */
  readonly largestDrop: number;
  /** Conversions that may be evaluated on all images. */
  readonly evaluations: number;
  /** Groups of layers whose sensitivity is measured, at most. */
  readonly groups: number;
  /** Converts and evaluates; asked once for equal picks. */
  measure(picks: Picks, purpose: Purpose): Promise<Measured>;
  /** Whether what `measure` threw ends the search with what it has found; default: never. */
  isInterruption?(error: unknown): boolean;
}

export interface Sensitivity {
  /** Indices of layers. */
  readonly layers: readonly number[];
  readonly lossIncrease: number;
  /** lossIncrease / the sum of the layers' noise to signal, made positive: what the errors of these layers count. */
  readonly weight: number;
}

export interface AccuracyFinding {
  /** The cheapest picks whose measured drop is within the budget; undefined where none of those measured is. */
  readonly best: Picks | undefined;
  readonly sensitivities: readonly Sensitivity[];
  /** More would have been measured. */
  readonly isInterrupted: boolean;
}

/** A sensitivity is at least this share of the mean: that half of a layer costs nothing does not say that all of it does. */
const leastShare = 0.1;
/** Costs that differ by less than this share of the model's are not told apart. */
const resolution = 1 / 512;

/**
 * Looks for the cheapest conversion that loses at most `largestDrop`. First, unless errors are priced already, each group of layers is converted alone, at
 * about half of its cost, on a sample of the images: the rise of the loss per unit of noise to signal e / (1 − e), where e is the
 * lost fraction of ‖W‖²_F, is the price of the group's errors. With these prices `solveBudget` shares out any total cost over the layers, which leaves one number to
 * find, the cost, by bisection on all images. The drop need not fall with the cost: what comes out is the cheapest of what
 * was measured.
 */
export async function searchAccuracy(search: AccuracySearch): Promise<AccuracyFinding> {
  const { layers, fixedCost, largestDrop, evaluations } = search;
  const keepAll = layers.map(() => 0);
  const isFree = (index: number): boolean => layers[index]!.length > 1;
  const free = keepAll.map((_, index) => index).filter(isFree);
  if (free.length === 0) return { best: undefined, sensitivities: [], isInterrupted: false };

  const sensitivities = search.arePriced === true ? [] : await measureSensitivities(search, free);
  const weights = layers.map((_, index) => sensitivities.find((group) => group.layers.includes(index))?.weight ?? 1);
  const priced = layers.map((choices, index) =>
    choices.map(({ cost, error }) => ({ cost, error: noiseToSignal(error) * weights[index]! })),
  );
  const weighted = search.arePriced === true ? layers : priced;
  const costOf = (picks: Picks): number =>
    picks.reduce((sum, pick, index) => sum + layers[index]![pick]!.cost, fixedCost);

  const full = costOf(keepAll);
  const cheapest = weighted.map(indexOfLeast);
  const asked = new Map<string, Measured>();
  let best: Picks | undefined;
  let low = costOf(cheapest);
  let high = full;
  const isWithin = async (picks: Picks): Promise<boolean> => {
    const key = picks.join();
    const measured = asked.get(key) ?? (await search.measure(picks, 'search'));
    asked.set(key, measured);
    const within = measured.drop <= largestDrop;
    if (within && (best === undefined || costOf(picks) < costOf(best))) best = picks;
    return within;
  };
  const bisect = async (): Promise<void> => {
    let hasFailed = false;
    while (asked.size < evaluations && high - low > resolution * full) {
      const picks = solveBudget(weighted, (low + high) / 2 - fixedCost)!;
      if (picks.every((pick) => pick === 0)) break;
      if (!(await isWithin(picks))) {
        low = (low + high) / 2;
        hasFailed = true;
        continue;
      }
      high = costOf(picks);
      // A generous budget may allow everything.
      if (hasFailed || asked.size >= evaluations) continue;
      if (await isWithin(cheapest)) break;
      hasFailed = true;
    }
    // The mildest step there is, where nothing else would do.
    if (best === undefined) await isWithin(mildest(weighted));
  };
  try {
    await bisect();
  } catch (error) {
    if (best === undefined || search.isInterruption?.(error) !== true) throw error;
    return { best, sensitivities, isInterrupted: true };
  }
  return { best, sensitivities, isInterrupted: false };
}

/** Lost to kept: in proportion to the error where that is small, without bound where nothing is left of a layer. */
function noiseToSignal(error: number): number {
  return error / Math.max(1e-6, 1 - error);
}

async function measureSensitivities(
  { layers, groups, measure }: AccuracySearch,
  free: readonly number[],
): Promise<Sensitivity[]> {
  const halved = layers.map((choices) => {
    const target = choices[0]!.cost / 2;
    return indexOfLeast(choices.map(({ cost }, index) => ({ cost: index === 0 ? Infinity : Math.abs(cost - target) })));
  });
  const found: { layers: readonly number[]; lossIncrease: number; perError: number }[] = [];
  for (const group of split(free, groups)) {
    const picks = layers.map((_, index) => (group.includes(index) ? halved[index]! : 0));
    const { lossIncrease } = await measure(picks, 'sensitivity');
    const error = group.reduce((sum, index) => sum + noiseToSignal(layers[index]![halved[index]!]!.error), 0);
    found.push({ layers: group, lossIncrease, perError: error > 0 ? Math.max(0, lossIncrease) / error : 0 });
  }
  const mean = found.reduce((sum, { perError }) => sum + perError, 0) / found.length;
  return found.map(({ layers: group, lossIncrease, perError }) => ({
    layers: group,
    lossIncrease,
    weight: mean === 0 ? 1 : Math.max(perError, leastShare * mean),
  }));
}

/** At most `count` groups of neighbours, as equal as they can be. */
function split(items: readonly number[], count: number): number[][] {
  const groups = Math.min(items.length, Math.max(1, count));
  const start = (group: number): number => Math.round((group * items.length) / groups);
  return Array.from({ length: groups }, (_, group) => items.slice(start(group), start(group + 1)));
}

/** One layer, at the choice with the smallest error of all. */
function mildest(layers: readonly (readonly Choice[])[]): Picks {
  let least = Infinity;
  let at = { layer: 0, pick: 0 };
  layers.forEach((choices, layer) =>
    choices.forEach(({ cost, error }, pick) => {
      if (cost >= choices[0]!.cost || error >= least) return;
      least = error;
      at = { layer, pick };
    }),
  );
  return layers.map((_, layer) => (layer === at.layer ? at.pick : 0));
}

function indexOfLeast(choices: readonly { readonly cost: number }[]): number {
  return choices.reduce((least, { cost }, index) => (cost < choices[least]!.cost ? index : least), 0);
}
