/** What reports say of a model file: part of published JSON. A field is added, never renamed. */
export interface ModelSummary {
  readonly path: string;
  readonly sha256: string;
  readonly producer: string;
  readonly irVersion: number;
  readonly opset: number;
  /** The shape that MACs are counted for: dynamic axes bound to numbers. */
  readonly inputShape: readonly number[];
}
