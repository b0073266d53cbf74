import { withFixed } from '../passes/fix-inputs.js';
import type { PreparedModel } from '../rewrite/prepare.js';
import { sessionOptionsOf } from '../runtime/threads.js';
import type { Driver } from '../runtime/types.js';
import { latencySignature, measureVariants } from '../factorize/layer-latency.js';
import { measureModels, modelTurn } from '../rewrite/measure-models.js';
import type { LatencySource } from '../factorize/plan-types.js';
import { sampleFeeds } from '../rewrite/samples.js';
import type { ConvertSettings } from './settings.js';

/** Measures layers alone; layers with equal sizes and attributes are measured once. */
export async function latencySource(
  driver: Driver,
  { model, shapes, fixed }: Pick<PreparedModel, 'model' | 'shapes' | 'fixed'>,
  original: string | Uint8Array,
  settings: ConvertSettings,
  signal: AbortSignal | undefined,
): Promise<LatencySource> {
  const options = sessionOptionsOf(settings.running);
  const feeds = withFixed(sampleFeeds(model, shapes, settings.seed + 1), fixed);
  const [totalMs = 0] = await measureModels(driver, [original], feeds, options, modelTurn, signal);
  const known = new Map<string, Promise<number[]>>();
  return {
    totalMs,
    measure: async (candidate, trials) => {
      const variants = [{ scheme: null, rank: 0 }, ...trials];
      let sum = variants.map(() => 0);
      for (const layer of candidate.layers) {
        const key = `${latencySignature(layer, shapes)} ${JSON.stringify(variants)}`;
        const times = known.get(key) ?? measureVariants(driver, model, shapes, layer, variants, options, signal);
        known.set(key, times);
        const values = await times;
        sum = sum.map((total, index) => total + values[index]!);
      }
      return sum;
    },
  };
}
