import { LowrankError } from '../errors.js';
import type { Model } from '../graph/model.js';
import type { Scheme } from '../contracts/convert.js';

/** Key of `metadata_props` that records the pairs of a model. */
export const pairsKey = 'lowrank.layers';

/** The factors of one layer as the model's metadata record them: enough to find them again, to decay their product, and to merge them. */
export interface PairRecord {
  /** Name of the layer that it replaced. */
  readonly name: string;
  readonly op: 'Conv' | 'ConvTranspose' | 'Gemm' | 'MatMul';
  readonly scheme: Scheme;
  /** Of every group. */
  readonly rank: number;
  /** Where there are more than two factors: what lies between any two of them. */
  readonly ranks?: readonly number[] | undefined;
  /** Along each axis. */
  readonly kernel: readonly number[];
  readonly in: number;
  readonly out: number;
  readonly init: string;
  readonly activation: string;
  /** Names of the nodes that apply the factors, in the order of execution. */
  readonly nodes: readonly string[];
  /**
   * Initializers, in the same order. Written as `v`, the first, and `u`, the last, W ≈ U·V; where there are more than two, all of
   * them as `factors` too.
   */
  readonly factors: readonly string[];
}

/** As it is written. */
interface StoredRecord extends Omit<PairRecord, 'factors'> {
  readonly u: string;
  readonly v: string;
  readonly factors?: readonly string[];
}

/** Pairs recorded in the metadata; none where the key is absent. Throws FORMAT where it is there but not readable. */
export function readPairs(model: Model): PairRecord[] {
  const text = model.metadata.get(pairsKey);
  if (text === undefined) return [];
  try {
    const records: unknown = JSON.parse(text);
    if (Array.isArray(records) && records.every(isStoredRecord)) return records.map(fromStored);
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
  else model.metadata.set(pairsKey, JSON.stringify(pairs.map(toStored)));
}

function fromStored({ u, v, factors = [v, u], ...record }: StoredRecord): PairRecord {
  return { ...record, factors };
}

function toStored({ factors, ...record }: PairRecord): StoredRecord {
  const ends = { u: factors.at(-1)!, v: factors[0]! };
  return { ...record, ...ends, ...(factors.length > 2 ? { factors } : {}) };
}

function isStoredRecord(value: unknown): value is StoredRecord {
  if (typeof value !== 'object' || value === null) return false;
  const record = value as Record<string, unknown>;
  const texts = ['name', 'op', 'scheme', 'init', 'activation', 'u', 'v'];
  const { factors } = record as { readonly factors?: unknown };
  if (factors !== undefined && !(Array.isArray(factors) && factors.length >= 2 && factors.every(isText))) return false;
  return (
    texts.every((key) => isText(record[key])) &&
    typeof record['rank'] === 'number' &&
    Array.isArray(record['nodes']) &&
    record['nodes'].length === (factors?.length ?? 2)
  );
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}
