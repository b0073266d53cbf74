import type { RecoverReport } from '../../contracts/recover.js';
import { formatWhole, plural } from '../format.js';
import { createChartRenderer } from './chart.js';
import { fileName, warningList } from './convert-html.js';
import { markup, type Markup } from './markup.js';
import { code, factList, renderPage, section } from './page.js';
import { recoveryBox, recoverySection } from './recovery-section.js';
import { modelFacts, settingsSection } from './run-sections.js';

export interface RecoverHtmlOptions {
  /** What repeats the run. Default: the report's `command`. */
  readonly commandLine?: string | undefined;
}

function header(report: RecoverReport): Markup {
  const { model, teacher, data, evaluations, warnings } = report;
  const lead = markup`Trained for ${plural(evaluations.at(-1)?.step ?? 0, 'update')} to compute what ${code(fileName(teacher.path))} does, on ${plural(data.images, 'picture')}.`;
  return markup`<p class="eyebrow">lowrank recovery report</p><h1 class="name">${fileName(model.path)}</h1><p class="lead">${lead}</p>${recoveryBox(report)}${warningList(warnings)}`;
}

function filesSection({ model, teacher, output }: RecoverReport): Markup {
  return section(
    'Files',
    factList([
      ...modelFacts('Model before', model),
      ...modelFacts('Teacher', teacher),
      ...(output === null
        ? []
        : ([
            ['Written', code(output.path)],
            ['SHA-256', code(output.sha256)],
            ['Size', `${formatWhole(output.bytes)} bytes`],
          ] as const)),
    ]),
  );
}

/** The report of a training towards another model as one HTML page, like `convertHtml`. */
export async function recoverHtml(report: RecoverReport, options: RecoverHtmlOptions = {}): Promise<string> {
  const renderer = await createChartRenderer();
  const { tool } = report;
  return renderPage({
    title: `${fileName(report.model.path)} – lowrank recovery`,
    header: header(report),
    sections: [
      recoverySection(renderer, report),
      settingsSection(report.settings, options.commandLine ?? report.command, [['seed', report.seed]]),
      filesSection(report),
    ],
    footer: markup`Written by ${tool.name} ${tool.version}.`,
  });
}
