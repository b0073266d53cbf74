import { checkModel } from '../graph/check.js';
import { LowrankError } from '../errors.js';
import type { ChangeUnit, Recalibration } from '../contracts/convert.js';
import type { Preparation } from '../contracts/images.js';
import { emitFits } from '../factorize/emit-fits.js';
import type { Engine } from '../factorize/engine.js';
import type { Fit } from '../factorize/fit.js';
import { inits } from '../factorize/inits/index.js';
import type { RankMode } from '../factorize/settings.js';
import { recordPreparation } from '../images/record-preparation.js';
import type { PairRecord } from '../rewrite/pairs.js';
import { type MeasuredAgreement, measuredChange } from './agreement.js';
import { show } from './call.js';
import type { Chosen } from './choose-and-fit.js';
import { recalibrateContext } from './finishing.js';
import { fitWhole } from './fit-whole.js';
import { shareOf } from './keep-search.js';
import type { Opened, Original } from './open.js';

/** What stands in the model now. */
export interface Emitted {
  readonly fits: readonly Fit[];
  readonly records: readonly PairRecord[];
  readonly preparation: Preparation | undefined;
}

/** Puts the pairs into the model, fitted once more all together where the initialization is one of whole models. */
export async function emit(opened: Opened, original: Original, chosen: Chosen, engine: Engine): Promise<Emitted> {
  const { asked, model, shapes, driver: getDriver } = opened;
  const { input, output, call, settings, warnings } = asked;
  const { signal } = call;
  const { session } = original;
  const { init, sampled } = settings.fitting;
  let fits = chosen.fits;
  const preparation =
    chosen.calibrated?.report.preparation ??
    (await call.findPreparation?.(model, { path: input, driver: await getDriver(), session, signal }));
  const records = emitFits(model, fits, chosen.fitting.init);
  if (inits[init].isWhole === true) {
    if (engine.tensorFlow !== undefined) {
      warnings.push(
        `${init} trains the whole network with onnxruntime: the engine tfjs fitted the pairs it starts from`,
      );
    }
    const { functionApproximation } = await import('./function-approximation.js');
    const whole = await fitWhole(model, fits, {
      approximate: call.approximate ?? functionApproximation(),
      original: original.source,
      shapes,
      records,
      fitContext: chosen.fitting,
      fit: sampled,
      seed: settings.seed,
      driver: await getDriver(),
      session,
      signal,
      onProgress: (done, total) => show(call, 'approximate', done, total, output),
    });
    ({ fits } = whole);
    warnings.push(...whole.warnings);
  }
  await engine.linalg.close();
  if (preparation !== undefined) recordPreparation(model, preparation);
  checkModel(model);
  return { fits, records, preparation };
}

/** Statistics of the model with pairs, and what it gives on the images kept out. */
export interface Finished {
  /** undefined where there was nothing to do. */
  readonly recalibration: Recalibration | undefined;
  readonly agreement: MeasuredAgreement | undefined;
}

/** Estimates statistics anew where that was asked for, or is a part of the fit, and measures the agreement. Throws NUMERIC where --keep is missed. */
export async function finish(
  { asked, model, driver: getDriver }: Opened,
  { session }: Original,
  { keptOut, observed }: Chosen,
  { fits }: Emitted,
): Promise<Finished> {
  const { input, output, call, settings, calibrate, warnings } = asked;
  const isPartOfFit = call.recalibrate?.isPartOfFit === true;
  const isLeftOut = isPartOfFit && (calibrate === undefined || fits.length === 0 || settings.reinit);
  const recalibrated = await (isLeftOut ? undefined : call.recalibrate)?.(
    model,
    recalibrateContext(
      call,
      { path: input, driver: await getDriver(), session, inputs: settings.inputs },
      (done, total) => show(call, 'recalibrate', done, total, output),
    ),
  );
  warnings.push(...(recalibrated?.warnings ?? []));
  // Nobody asked for what found nothing to do.
  const isShown = recalibrated !== undefined && (!isPartOfFit || recalibrated.report.layers > 0);
  const judged = await keptOut?.judge.measure(keptOut.bytesOf(model), (done, total) =>
    show(call, 'calibrate', done, total, 'the converted model'),
  );
  warnings.push(...(judged?.warnings ?? []));
  requireKept(settings.ranks.rankMode, judged?.agreement, observed?.report.unit);
  return { recalibration: isShown ? recalibrated.report : undefined, agreement: judged?.agreement };
}

/** Throws NUMERIC where what is done behind the search, such as recalibration, cost too much of the agreement. */
function requireKept(mode: RankMode, agreement: MeasuredAgreement | undefined, unit: ChangeUnit | undefined): void {
  if (mode.kind !== 'keep' || agreement === undefined || unit === undefined) return;
  const change = measuredChange(agreement, unit);
  const share = change === undefined ? 0 : shareOf({ agreement: agreement.top1?.share ?? null, change });
  if (share >= mode.share) return;
  throw new LowrankError(
    'NUMERIC',
    `the converted model agrees with the original on ${(100 * share).toFixed(1)} % of the images kept out of the fit`,
    { remedy: `lower --keep, which is ${mode.share}, or leave --recalibrate and --init out; nothing was written` },
  );
}
