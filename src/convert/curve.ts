import { inWords, LowrankError } from '../errors.js';
import { checkPaths } from '../files/conflicts.js';
import { limitsOf } from '../limits.js';
import type { CurveReport } from '../contracts/convert.js';
import { loadDriver } from '../runtime/driver.js';
import { sessionOptionsOf } from '../runtime/threads.js';
import { tool } from '../version.js';
import { chooseRanks } from './choose-ranks.js';
import { type ConvertCall, convertPaths } from './call.js';
import { finishing } from './finishing.js';
import { countMacs, countParameters } from '../rewrite/count.js';
import { startEngine } from '../factorize/engine.js';
import { fitsOfSearch } from '../factorize/known-fits.js';
import { latencySource } from './latency-source.js';
import { prepareModel, summarize } from '../rewrite/prepare.js';
import { selectLayers } from '../factorize/select-layers.js';
import { tuckerOf } from '../factorize/tucker-trials.js';
import { describeSettings, resolveSettings } from './settings.js';
import { isLatencyBudget } from '../factorize/settings.js';

/**
 * What each of ten budgets is expected to cost: ranks chosen by what the outputs feel, some of the models built and measured on
 * images kept out. Nothing is written. Throws as `convert`, USAGE where there are no images, or ranks are not chosen by a
 * budget of parameters, multiply-accumulates or time.
 */
export async function tradeOffCurve(input: string, call: ConvertCall): Promise<CurveReport> {
  const started = performance.now();
  const { calibrate, signal } = call;
  const settings = resolveSettings(call, calibrate?.kind);
  if (calibrate === undefined || settings.reinit) {
    throw new LowrankError('USAGE', '--curve is made of what the layers see, and there are no images', {
      remedy: 'give --calibrate and a folder of images, or synthetic',
    });
  }
  if (settings.ranks.rankMode.kind !== 'budget' && settings.ranks.rankMode.kind !== 'keep') {
    throw new LowrankError('USAGE', '--curve is of budgets, and the ranks are chosen another way', {
      remedy: 'give --macs-budget, --params-budget or --latency-budget, or leave the ranks out',
    });
  }
  checkPaths(convertPaths(input, call));
  const driver = await loadDriver();
  const limits = limitsOf(settings.running);
  const { inputShapes } = settings;
  const prepared = await prepareModel(input, {
    inputShapes,
    inputs: settings.inputs,
    driver: () => Promise.resolve(driver),
    limits,
    isRun: true,
    foldsWeights: true,
    opensAttention: true,
    signal,
  });
  const { model, shapes } = prepared;
  const engine = await startEngine({ ...settings.running, driver });
  const { linalg } = engine;
  try {
    const { selection } = selectLayers(
      model,
      shapes,
      settings.selection,
      settings.fitting.init,
      settings.reinit ? settings : undefined,
    );
    const totals = { params: countParameters(model.graph), macs: countMacs(model.graph, shapes) };
    const session = sessionOptionsOf(settings.running);
    const isLatency = isLatencyBudget(settings.ranks.rankMode);
    const latency = isLatency ? await latencySource(driver, prepared, input, settings, signal) : undefined;
    const onProgress = (phase: 'plan' | 'calibrate' | 'search') => (done: number, total: number, detail: string) =>
      call.onProgress?.({ phase, done, total, detail });
    const chosen = await chooseRanks(calibrate, selection.candidates, {
      images: { path: input, model, driver, session, seed: settings.seed, onImages: onProgress('calibrate'), signal },
      reinit: settings.reinit,
      biasCorrection: settings.fitting.biasCorrection,
      planning: {
        settings: settings.ranks,
        linalg,
        totals,
        signal,
        onProgress: onProgress('plan'),
        ...(latency === undefined ? {} : { latency }),
      },
      fitting: { linalg, init: settings.fitting.init, seed: settings.seed, tucker: tuckerOf(settings.ranks), signal },
      known: fitsOfSearch(),
      finish: finishing(call, { path: input, driver, session, inputs: settings.inputs }),
      isCurveMeasured: true,
      search: undefined,
      onSearch: onProgress('search'),
    });
    try {
      return inWords<CurveReport>({
        schema: 'lowrank.curve/1',
        tool,
        model: summarize(model, shapes, input),
        settings: describeSettings({ ...settings, ranks: { ...settings.ranks, rankMode: chosen.rankMode } }),
        sensitivity: chosen.observed!.report,
        tradeOff: chosen.tradeOff!(undefined),
        warnings: [...prepared.warnings, ...selection.warnings, ...engine.warnings, ...chosen.warnings],
        seconds: (performance.now() - started) / 1000,
      });
    } finally {
      await chosen.close();
    }
  } finally {
    await call.recalibrate?.close?.();
    await linalg.close();
    model.file?.close();
  }
}
