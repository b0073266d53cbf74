import type { RecoverExplainReport } from '../contracts/recover.js';
import { inWords } from '../errors.js';
import { lengthOf } from '../step/flat.js';
import { describeKept } from '../step/manifest.js';
import { initialState } from '../step/vectors.js';
import { tool } from '../version.js';
import { describeInputs } from './inputs.js';
import { type Closers, openRecovery, requireFinite } from './open.js';
import { checkedSettings, type RecoverOptions } from './recover.js';

/**
 * What `recover` would do, and how close the model is before it; trains and writes nothing. Throws what `recover` throws for models,
 * pictures and settings that do not fit.
 */
export async function explainRecovery(options: RecoverOptions): Promise<RecoverExplainReport> {
  const closers: Closers = [];
  try {
    const opened = await openRecovery(options, checkedSettings(options), closers);
    const { prepared, images, judge, update } = opened;
    const start = await judge.measure(initialState(prepared, update.stateLength, false));
    requireFinite(start.loss, options);
    return inWords<RecoverExplainReport>({
      schema: 'lowrank.recover-explain/1',
      tool,
      ...(options.command === undefined ? {} : { command: options.command }),
      ...describeInputs(options, opened),
      start,
      parameters: lengthOf(prepared.parameters),
      kept: describeKept(prepared),
      warnings: [...prepared.warnings, ...images.warnings],
    });
  } finally {
    options.progress?.done();
    for (const closer of closers.reverse()) await closer();
  }
}
