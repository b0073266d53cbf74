/** The first loss is that of one batch: up to this it may be off by chance. */
const tolerance = 1.5;

/** The first loss and the mean of the last tenth of the steps, where the fit ended worse than it began. */
export function riseOf(losses: ArrayLike<number>): { readonly first: number; readonly last: number } | undefined {
  const all = Array.from(losses);
  const end = all.slice(-Math.max(1, Math.floor(all.length / 10)));
  const first = all[0] ?? 0;
  const last = end.reduce((sum, x) => sum + x, 0) / Math.max(1, end.length);
  return last > tolerance * first ? { first, last } : undefined;
}
