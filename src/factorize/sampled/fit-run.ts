import type { InitProblem } from '../types.js';
import type { FactorPair } from '../../rewrite/types.js';
import type { SampleSource } from './source.js';

/** A sampled fit as every engine runs it. */
export interface FitRun {
  readonly problem: InitProblem;
  readonly start: FactorPair;
  readonly source: SampleSource;
  readonly steps: number;
  readonly batch: number;
  /** The learning rate of every step. */
  readonly rates: Float32Array;
}

/** What a fit ends with, finite or not. */
export interface FitEnd {
  readonly left: Float32Array;
  readonly right: Float32Array;
  /** Of the batch that each step drew, before it. */
  readonly losses: Float32Array;
}
