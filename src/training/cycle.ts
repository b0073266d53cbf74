/**
 * Where an update of an epoch, from 0, lies in its cycle: the epoch is divided into cycles of nearly one length, so that none reaches
 * into the next one. `at` counts from 0; `length` is that of the cycle.
 */
export function cycleOf(
  stepsPerEpoch: number,
  coefficientSteps: number,
  update: number,
): { readonly at: number; readonly length: number } {
  const cycles = Math.max(1, Math.floor(stepsPerEpoch / (coefficientSteps + 1)));
  const borderOf = (cycle: number): number => Math.floor((cycle * stepsPerEpoch) / cycles);
  let cycle = Math.floor((update * cycles) / stepsPerEpoch);
  if (update >= borderOf(cycle + 1)) cycle++;
  return { at: update - borderOf(cycle), length: borderOf(cycle + 1) - borderOf(cycle) };
}
