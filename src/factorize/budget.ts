/** One way to treat a layer: what it costs and the error it makes. */
export interface Choice {
  readonly cost: number;
  readonly error: number;
}

/**
 * Picks one choice per layer so that the costs add up to at most `budget` and the sum of errors is as small as the
 * Lagrangian relaxation and a greedy use of the rest can make it: one price for cost, the same for all layers, instead of
 * one ratio for all. Returns the index of each layer's choice; undefined where even the cheapest choices cost too much.
 */
export function solveBudget(layers: readonly (readonly Choice[])[], budget: number): number[] | undefined {
  const cheapest = layers.map((choices) => best(choices, ({ cost }) => cost));
  if (total(layers, cheapest) > budget) return undefined;
  const atPrice = (price: number): number[] =>
    layers.map((choices) => best(choices, ({ cost, error }) => error + price * cost));
  const free = atPrice(0);
  if (total(layers, free) <= budget) return free;
  let low = 0;
  let high = 1e-12;
  while (total(layers, atPrice(high)) > budget) {
    low = high;
    high *= 4;
    // At a high enough price only cost counts.
    if (high > 1e30) return improve(layers, cheapest, budget);
  }
  for (let step = 0; step < 60; step++) {
    const middle = Math.sqrt(Math.max(low, high * 1e-9) * high);
    if (total(layers, atPrice(middle)) > budget) low = middle;
    else high = middle;
  }
  return improve(layers, atPrice(high), budget);
}

/** Spends what is left where it lowers the error most. */
function improve(layers: readonly (readonly Choice[])[], start: readonly number[], budget: number): number[] {
  const picked = [...start];
  let left = budget - total(layers, picked);
  for (;;) {
    let gain = 0;
    let move: { layer: number; choice: number } | undefined;
    layers.forEach((choices, layer) => {
      const now = choices[picked[layer]!]!;
      choices.forEach((choice, index) => {
        const extra = choice.cost - now.cost;
        const saved = now.error - choice.error;
        if (saved <= 0 || extra > left) return;
        const rate = extra <= 0 ? Infinity : saved / extra;
        if (rate > gain) {
          gain = rate;
          move = { layer, choice: index };
        }
      });
    });
    if (move === undefined) return picked;
    left -= layers[move.layer]![move.choice]!.cost - layers[move.layer]![picked[move.layer]!]!.cost;
    picked[move.layer] = move.choice;
  }
}

function best(choices: readonly Choice[], score: (choice: Choice) => number): number {
  let index = 0;
  let lowest = Infinity;
  choices.forEach((choice, i) => {
    const value = score(choice);
    if (value < lowest) {
      lowest = value;
      index = i;
    }
  });
  return index;
}

function total(layers: readonly (readonly Choice[])[], picked: readonly number[]): number {
  return picked.reduce((sum, choice, layer) => sum + layers[layer]![choice]!.cost, 0);
}
