/** What finding ranks has come to. */
export interface FoundRanks {
  /** By layer, in order. */
  readonly ranks: readonly number[];
  /** The singular values of each, largest first. */
  readonly singularValues: readonly (readonly number[])[];
  /** Seconds in linear algebra outside of the graphs, so far. */
  readonly seconds: number;
}
