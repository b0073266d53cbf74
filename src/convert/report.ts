import { inWords } from '../errors.js';
import type { ConvertReport, LayerReport } from '../contracts/convert.js';
import type { Candidate } from '../factorize/candidates.js';
import type { Engine } from '../factorize/engine.js';
import type { Fit } from '../factorize/fit.js';
import { activationOf, factorizedReport, keptReport } from '../factorize/layer-report.js';
import { sensitivityOf } from '../factorize/sensitivity/report.js';
import type { RankMode } from '../factorize/settings.js';
import type { Layer } from '../rewrite/layers.js';
import { type describeOutput, ratio } from '../rewrite/report-parts.js';
import { tool } from '../version.js';
import { adviceFor } from './agreement-advice.js';
import type { Chosen } from './choose-and-fit.js';
import type { Emitted, Finished } from './emit.js';
import { nearlyLost } from './nearly-lost.js';
import type { Used } from './joined.js';
import type { Seconds } from './open.js';
import { describeSettings } from './settings.js';
import type { Verified } from './verify.js';

export interface Done extends Used {
  readonly chosen: Chosen;
  readonly engine: Engine;
  readonly emitted: Emitted;
  readonly finished: Finished;
  readonly verified: Verified;
  readonly output: ReturnType<typeof describeOutput>;
  readonly seconds: Seconds;
}

/** All that came of a conversion. */
export function reportConversion(done: Done): ConvertReport {
  const { opened, original, chosen, engine, emitted, finished, verified, seconds } = done;
  const { settings, input, output, warnings } = opened.asked;
  const { observed } = chosen;
  const { written } = verified;
  const layers = original.layers.flatMap((layer): LayerReport[] => {
    const parts = separated(layer, done);
    if (parts !== undefined) return parts;
    const sensitivity =
      observed === undefined ? undefined : sensitivityOf(layer, chosen.plans, emitted.fits, observed.curves);
    const own = reportLayer(layer, done);
    return [sensitivity === undefined ? own : Object.assign(own, { sensitivity })];
  });
  const { agreement: measured } = finished;
  const agreement =
    measured === undefined
      ? undefined
      : {
          ...measured,
          advice: adviceFor(measured, { input, output, sizeOption: sizeOption(settings.ranks.rankMode) }),
        };
  if (!settings.reinit && settings.fitting.init !== 'baseline') warnings.push(...nearlyLost(layers));
  if (emitted.fits.length === 0) warnings.push('no layer was factorized: the output computes what the input does');
  return inWords<ConvertReport>({
    schema: 'lowrank.convert/1',
    tool,
    seed: settings.seed,
    model: original.summary,
    settings: {
      ...describeSettings({ ...settings, ranks: { ...settings.ranks, rankMode: chosen.rankMode } }),
      output,
    },
    engine: engine.report,
    layers,
    totals: {
      params: ratio(original.totals.params, written.params),
      macs: ratio(original.totals.macs, written.macs),
      latencyMs: verified.latencyMs,
    },
    verify: verified.verification === null ? null : { reloaded: true, ...verified.verification },
    ...(emitted.preparation === undefined ? {} : { preparation: emitted.preparation }),
    ...(finished.recalibration === undefined ? {} : { recalibration: finished.recalibration }),
    ...(chosen.calibrated === undefined ? {} : { calibration: chosen.calibrated.report }),
    ...(observed === undefined
      ? {}
      : { sensitivity: { ...observed.report, ...(chosen.rules.length === 0 ? {} : { rules: chosen.rules }) } }),
    ...(chosen.tradeOff === undefined ? {} : { tradeOff: chosen.tradeOff(measured) }),
    ...(agreement === undefined ? {} : { agreement }),
    ...(verified.accuracyBudget === undefined ? {} : { accuracyBudget: verified.accuracyBudget }),
    output: done.output,
    warnings,
    seconds,
  });
}

function reportLayer(layer: Layer, done: Done): LayerReport {
  const { original, chosen, emitted, verified } = done;
  const reason = original.selection.kept.get(layer);
  if (reason !== undefined) return keptReport(layer, reason, 'linear');
  const holds = ({ candidate }: { readonly candidate: Candidate }): boolean =>
    candidate.layers.some((member) => member === layer);
  const fit: Fit | undefined = emitted.fits.find(holds);
  if (fit === undefined) {
    const plan = chosen.plans.find(holds)!;
    return keptReport(layer, plan.note, activationOf(plan.candidate));
  }
  const after = verified.written.pairs.get(layer.name)!;
  const factorized = factorizedReport(layer, fit, chosen.fitting.init, after);
  const together = done.joined.find(({ candidate }) => candidate === fit.candidate);
  if (together !== undefined) {
    return { ...factorized, reason: `${factorized.reason}; ${together.layers.length} products of one input, joined` };
  }
  if (fit.candidate.layer === layer) return factorized;
  // The weight is counted with the first of the layers that share it.
  const own = layer.kind === 'factorizable' ? layer.biasCount : 0;
  const shared = `${factorized.reason}; shares its weight with '${fit.candidate.layer.label}', where it is counted`;
  return { ...factorized, reason: shared, params: { before: own, after: after.params } };
}

/** Products that were to be joined and stay as they were, since the whole is in one piece. */
function separated(layer: Layer, { joined, chosen, emitted }: Done): LayerReport[] | undefined {
  const own = joined.find(({ candidate }) => candidate.layer === layer);
  if (own === undefined || emitted.fits.some(({ candidate }) => candidate === own.candidate)) return undefined;
  const { note } = chosen.plans.find(({ candidate }) => candidate === own.candidate)!;
  return own.layers.map((part) => keptReport(part, note, 'linear'));
}

/** The option that keeps more where its number is larger. */
function sizeOption(mode: RankMode): string | undefined {
  switch (mode.kind) {
    case 'budget':
      return `--${mode.of}-budget`;
    case 'scale':
      return '--rank-scale';
    case 'energy':
    case 'keep':
    case 'stable-rank':
      return `--${mode.kind}`;
    case 'ranks':
    case 'vbmf':
    case 'accuracy':
      return undefined;
  }
}
