import { LowrankError } from '../errors.js';
import type { Model } from '../graph/model.js';
import type { Scheme } from '../contracts/convert.js';

/** Key of `metadata_props` that records the pairs of a model. */
export const pairsKey = 'lowrank.layers';

/** One pair as the model's metadata records it: enough to find it again, to decay it as a product, and to merge it. */
export interface PairRecord {
  /** Name of the layer that it replaced. */
  readonly name: string;
  readonly op: 'Conv' | 'Gemm' | 'MatMul';
  readonly scheme: Scheme;
  readonly rank: number;
  readonly kernel: readonly [number, number];
  readonly in: number;
  readonly out: number;
  readonly init: string;
  readonly activation: string;
  /** Names of the nodes that apply the factors, in the order of execution. */
  readonly nodes: readonly [string, string];
  /** Initializers: `v` is applied to the input, `u` to its result; W ≈ U·V. */
  readonly u: string;
  readonly v: string;
}

/** Pairs recorded in the metadata; none where the key is absent. Throws FORMAT where it is there but not readable. */
export function readPairs(model: Model): PairRecord[] {
  const text = model.metadata.get(pairsKey);
  if (text === undefined) return [];
  try {
    const records: unknown = JSON.parse(text);
    if (Array.isArray(records) && records.every(isPairRecord)) return records;
  } catch {
    // Falls through to the error below.
  }
  throw new LowrankError('FORMAT', `metadata '${pairsKey}' is not a list of pairs`, {
    place: model.file?.source.label ?? 'model',
    remedy: `remove that metadata entry; pairs are then recognized by their structure`,
  });
}

export function writePairs(model: Model, pairs: readonly PairRecord[]): void {
  if (pairs.length === 0) model.metadata.delete(pairsKey);
  else model.metadata.set(pairsKey, JSON.stringify(pairs));
}

function isPairRecord(value: unknown): value is PairRecord {
  if (typeof value !== 'object' || value === null) return false;
  const record = value as Record<string, unknown>;
  const texts = ['name', 'op', 'scheme', 'init', 'activation', 'u', 'v'];
  return (
    texts.every((key) => typeof record[key] === 'string') &&
    typeof record['rank'] === 'number' &&
    Array.isArray(record['nodes']) &&
    record['nodes'].length === 2
  );
}
