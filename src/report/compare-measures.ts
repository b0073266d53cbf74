import type { ComparedFit, ComparedInit, CompareReport } from '../contracts/compare.js';
import { formatError } from './format.js';

/** An error that is compared: of a layer under each initialization, and its mean over the layers. */
export interface Measure {
  readonly key: keyof Omit<ComparedFit, 'seconds'>;
  readonly title: string;
  /** For narrow headers. */
  readonly short: string;
  /** What it is, in a sentence. */
  readonly about: string;
  /** Whether pages have a chart of it: initializations are made for function errors. */
  readonly isDrawn: boolean;
  readonly of: (init: ComparedInit) => number | null;
}

const FUNCTION: Measure = {
  key: 'functionError',
  title: 'Function error',
  short: 'Function error',
  about: "The change of the layer's output behind its activation, for random inputs x ~ N(0, I).",
  isDrawn: true,
  of: ({ functionError }) => functionError,
};

const WEIGHT: Measure = {
  key: 'weightError',
  title: 'Weight error',
  short: 'Weight error',
  about: 'The change of the weights.',
  isDrawn: false,
  of: ({ weightError }) => weightError,
};

const DATA_FUNCTION: Measure = {
  key: 'dataFunctionError',
  title: 'Function error on images',
  short: 'On images',
  about:
    "The change of the layer's output behind its activation, BatchNormalization and sums included, at what it sees on the calibration images.",
  isDrawn: true,
  of: ({ dataFunctionError }) => dataFunctionError ?? null,
};

const DATA: Measure = {
  key: 'dataError',
  title: 'Output error on images',
  short: 'Before activation',
  about: "The change of the layer's own output, before anything else, at what it sees on the calibration images.",
  isDrawn: false,
  of: ({ dataError }) => dataError ?? null,
};

/** The errors that a report holds, the one for layer tables first. */
export function measuresOf({ calibration }: CompareReport): readonly Measure[] {
  return calibration === undefined ? [FUNCTION, WEIGHT] : [FUNCTION, DATA_FUNCTION, DATA, WEIGHT];
}

/** Four digits: initializations differ in the third. "-" where there is none. */
export function errorText(error: number | null | undefined): string {
  if (error === null || error === undefined) return '-';
  return Math.abs(error) >= 0.0005 && Math.abs(error) < 1000 ? error.toFixed(4) : formatError(error);
}
