/**
 * When layers stop changing what they need (Cuttlefish: Wang et al., MLSys 2023, and its code). The stable rank of each layer,
 * ‖W‖²_F / σ₁², behind every epoch is smoothed, and has settled once it hardly moves. Theirs is rounded down to a whole number, so that
 * it moves in steps of 1; ours is not.
 */

/** What is taken for settled. */
export interface SettlingRule {
  /** Of the moving average; no layer has settled before so many epochs. */
  readonly points: number;
  /** Of the newest steps of the average, whose mean counts. */
  readonly window: number;
  /** The largest mean step of a layer that has settled. */
  readonly threshold: number;
  /** What the threshold is multiplied by where so many layers have not settled: the last ones need not be waited for. */
  readonly relaxation: (left: number) => number;
  /** The least share of the full rank that a layer keeps. */
  readonly leastShare: number;
}

/** As it was published for images of up to 64 pixels. */
const ofSmallImages: SettlingRule = {
  points: 15,
  window: 11,
  threshold: 0.1,
  relaxation: (left) => (left === 1 ? 5 : left === 2 ? 2.5 : 1),
  leastShare: 0,
};

/** As it was published for ImageNet. */
const ofLargeImages: SettlingRule = {
  points: 5,
  window: 5,
  threshold: 0.33,
  relaxation: (left) => (left <= 3 ? 5 : left <= 6 ? 2.5 : 1),
  leastShare: 1 / 5,
};

const smallSide = 64;

/** The rule for images of a side in pixels. In short trainings it looks at no more points than a quarter of the epochs, two at least. */
export function settlingRule(side: number, epochs: number): SettlingRule {
  const rule = side <= smallSide ? ofSmallImages : ofLargeImages;
  const most = Math.max(2, Math.floor(epochs / 4));
  return { ...rule, points: Math.min(rule.points, most), window: Math.min(rule.window, most) };
}

/** e₀ = x₀, eᵢ = w xᵢ + (1 − w) eᵢ₋₁ with w = 2 / (points + 1). */
function smoothed(series: readonly number[], points: number): readonly number[] {
  const weight = 2 / (points + 1);
  const result: number[] = [];
  for (const value of series) result.push(weight * value + (1 - weight) * (result.at(-1) ?? value));
  return result;
}

/** Half the difference of the neighbours; at the ends the difference to the one there is (numpy.gradient). */
function gradient(values: readonly number[]): readonly number[] {
  return values.map((_, at) => {
    const [from, to] = [Math.max(0, at - 1), Math.min(values.length - 1, at + 1)];
    return to === from ? 0 : (values[to]! - values[from]!) / (to - from);
  });
}

/**
 * By layer the epochs behind which its stable rank had settled, null where it had not. `series` have the stable rank before the first
 * update and behind each epoch; a layer that has settled stays so.
 */
export function settledEpochs(series: readonly (readonly number[])[], rule: SettlingRule): readonly (number | null)[] {
  const settled: (number | null)[] = series.map(() => null);
  if (series.length === 0) return settled;
  const epochs = Math.min(...series.map(({ length }) => length)) - 1;
  for (let epoch = rule.points; epoch <= epochs; epoch++) {
    const left = settled.filter((each) => each === null).length;
    for (const [at, own] of series.entries()) {
      if (settled[at] !== null) continue;
      const steps = gradient(smoothed(own.slice(0, epoch + 1), rule.points)).slice(-rule.window);
      const mean = steps.reduce((sum, step) => sum + Math.abs(step), 0) / steps.length;
      if (mean <= rule.threshold * rule.relaxation(left)) settled[at] = epoch;
    }
  }
  return settled;
}

/** The rank of a layer: the full rank times what is left of the stable rank that it had before the first update, rounded up. */
export function rankBy(
  { start, epochs, maxRank }: { readonly start: number; readonly epochs: readonly number[]; readonly maxRank: number },
  { leastShare }: SettlingRule,
): number {
  const now = epochs.at(-1) ?? start;
  const scaled = start > 0 ? Math.ceil((maxRank / start) * now) : maxRank;
  return Math.min(maxRank, Math.max(1, Math.ceil(leastShare * maxRank), scaled));
}
