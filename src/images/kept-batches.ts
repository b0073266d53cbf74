import type { CalibrationBatch, CalibrationImages } from '../factorize/calibration/types.js';

/** So many bytes of images stay in memory for further passes; more are made anew in each. */
const mostBytes = 160e6;

/** Batches that are made once where all of them, `bytes` together, stay in memory; `make` is told whether they do. */
export function keptBatches(
  bytes: number,
  make: (isKept: boolean) => AsyncIterable<CalibrationBatch>,
): CalibrationImages['batches'] {
  const isKept = bytes <= mostBytes;
  const kept: CalibrationBatch[] = [];
  let isComplete = false;
  return async function* () {
    if (isComplete) {
      yield* kept;
      return;
    }
    kept.length = 0;
    for await (const batch of make(isKept)) {
      if (isKept) kept.push(batch);
      yield batch;
    }
    isComplete = kept.length > 0;
  };
}
