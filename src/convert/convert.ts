import type { ConvertReport } from '../contracts/convert.js';
import { fitsOfSearch } from '../factorize/known-fits.js';
import { type ConvertCall, outputOf, show } from './call.js';
import { runConversion } from './pipeline.js';
import { postponable } from './postponable.js';
import { type SearchRanks, tryPlans } from './rank-search.js';

/**
 * Replaces the convolutions and dense layers of the model at `input` by low-rank pairs and writes the result. The written
 * file is reloaded, checked and run against the original before it takes its name; counts in the report are of that file.
 *
 * Throws USAGE (contradictory or impossible options), INPUT, FORMAT, EXTERNAL_DATA, GRAPH (the input), UNSUPPORTED (nothing
 * that could be factorized, quantized models), NUMERIC (weights that are not finite), OUTPUT, VERIFY, DEVICE, RUNTIME,
 * ABORTED. Nothing is written then.
 */
export async function convert(input: string, call: ConvertCall = {}): Promise<ConvertReport> {
  try {
    const { searchRanks } = call;
    return await (searchRanks === undefined
      ? runConversion(input, call, { known: fitsOfSearch() })
      : searchAndConvert(input, call, searchRanks));
  } finally {
    await call.recalibrate?.close?.();
  }
}

/** An interruption ends the search, and what it found is written. */
async function searchAndConvert(input: string, asked: ConvertCall, searchRanks: SearchRanks): Promise<ConvertReport> {
  const interruption = postponable(asked.signal);
  const known = fitsOfSearch();
  const output = outputOf(input, asked);
  try {
    return await runConversion(
      input,
      { ...asked, signal: interruption.signal },
      {
        known,
        search: ({ moments, ...context }) =>
          searchRanks({
            ...context,
            signal: asked.signal,
            onProgress: (done, total, detail) => show(asked, 'search', done, total, detail),
            onNote: (line) => asked.onNote?.(line),
            onFound: () => interruption.postpone(),
            tryPlans: (tried, how, use) => tryPlans(tried, { input, output, call: asked, moments, known }, how, use),
          }),
        // What it holds of the search listens to the interruption that was put off.
        onFitted: async () => {
          if (asked.signal?.aborted === true) await asked.recalibrate?.close?.();
        },
      },
    );
  } finally {
    interruption.close();
  }
}
