import { LowrankError } from '../errors.js';
import { measureAgreement } from '../evaluate/measure-agreement.js';
import type { EvalSettings } from '../evaluate/eval-settings.js';
import { renderAgreementTable } from '../report/agreement-table.js';
import { preparationText } from '../report/preparation-text.js';
import type { CommandContext, CommandResult } from './command.js';
import { flagOf } from './options.js';

interface Settings {
  readonly data: string;
  readonly vs: string | undefined;
  readonly maxMemory: number | undefined;
  readonly verifyTimeout: number | undefined;
}

/** What `eval` has for labels, or for accuracies, alone. */
const ofLabels = ['classes', 'report'] as const;

/** The model to compare with; undefined without `--match`. Throws USAGE for options that do not go with it. */
export function matchedModel(
  settings: Pick<Settings, 'vs'> & { readonly match: boolean } & Readonly<Record<(typeof ofLabels)[number], unknown>>,
): string | undefined {
  if (!settings.match) return undefined;
  if (settings.vs === undefined) {
    throw new LowrankError('USAGE', '--match does nothing without --vs', {
      remedy: 'give the model to compare with as --vs, or leave it out',
    });
  }
  const stranger = ofLabels.find((name) => settings[name] !== undefined);
  if (stranger === undefined) return settings.vs;
  throw new LowrankError('USAGE', `${flagOf(stranger)} does not go with --match`, {
    remedy: stranger === 'report' ? 'leave it out: --json prints all of it' : 'leave it out: no labels are read',
  });
}

/** Measures how much the model agrees with that of `--vs`. */
export async function runMatch(
  {
    arguments: { model },
    settings,
    commandLine,
    signal,
    note,
    progress,
  }: CommandContext<{ readonly model: string }, Settings>,
  versus: string,
  chosen: Partial<EvalSettings>,
): Promise<CommandResult> {
  const { data, maxMemory, verifyTimeout } = settings;
  const report = await measureAgreement({
    ...{ model, versus, data, settings: chosen, maxMemory, verifyTimeout, command: commandLine, signal },
    onPrepared: (preparation) => note(`images: ${preparationText(preparation)}`),
    onProgress: ({ done, total }) => progress.update({ phase: 'comparing', done, total, detail: model }),
  });
  return { document: report, text: (terminal) => renderAgreementTable(report, terminal) };
}
