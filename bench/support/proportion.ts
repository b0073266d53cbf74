const z = 1.96;

/** Wilson's 95 % interval of `hits` of `n`. */
export function interval(hits: number, n: number): readonly [number, number] {
  const p = hits / n;
  const middle = (p + (z * z) / (2 * n)) / (1 + (z * z) / n);
  const half = (z / (1 + (z * z) / n)) * Math.sqrt((p * (1 - p)) / n + (z * z) / (4 * n * n));
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}

/** a − b of proportions measured on the same samples, with the 95 % interval of paired differences. */
export function pairedDifference(
  a: readonly boolean[],
  b: readonly boolean[],
): { readonly difference: number; readonly ci95: readonly [number, number] } {
  const n = a.length;
  const won = a.filter((isRight, index) => isRight && !b[index]!).length;
  const lost = b.filter((isRight, index) => isRight && !a[index]!).length;
  const difference = (won - lost) / n;
  const half = z * Math.sqrt(Math.max(0, (won + lost) / n - difference * difference) / n);
  return { difference, ci95: [difference - half, difference + half] };
}
