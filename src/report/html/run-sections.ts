/** Parts that the pages of a training run and of an evaluation share. */
import type { EngineReport, ModelSummary } from '../../contracts/convert.js';
import { formatWhole, plural } from '../format.js';
import type { DataSummary, TrainReport } from '../../contracts/train.js';
import { markup, type Content, type Markup } from './markup.js';
import { code, factList, section } from './page.js';

/** A number in large letters, with a line below it. */
export function numberCard(label: string, big: string, detail: Content): Markup {
  return markup`<li class="card"><span class="label">${label}</span><span class="big">${big}</span><span class="detail muted">${detail}</span></li>`;
}

function settingText(value: unknown): Content {
  if (value === null || value === undefined) return markup`<span class="muted">not set</span>`;
  return code(typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value)));
}

export function settingsSection(
  settings: Readonly<Record<string, unknown>>,
  command: string | undefined,
  first: readonly (readonly [string, Content])[] = [],
): Markup {
  const names = new Set(first.map(([name]) => name));
  const others = Object.entries(settings).filter(([name]) => !names.has(name));
  return section(
    'Settings',
    command === undefined ? null : markup`<p>This command repeats the run:</p><pre><code>${command}</code></pre>`,
    factList([...first, ...others.map(([name, value]) => [name, settingText(value)] as const)]),
  );
}

export function modelFacts(label: string, model: ModelSummary): readonly (readonly [string, Content])[] {
  return [
    [label, code(model.path)],
    ['SHA-256', code(model.sha256)],
    ['Producer', model.producer === '' ? markup`<span class="muted">not named</span>` : model.producer],
    ['Opset, IR version', `${model.opset}, ${model.irVersion}`],
    ['Input shape', model.inputShape.join(' × ')],
  ];
}

export function dataFact(label: string, { path, images, classes }: DataSummary): readonly [string, Content] {
  return [label, markup`${code(path)}: ${plural(images, 'image')} of ${formatWhole(classes)} classes`];
}

/** What computed while pairs were fitted. */
export function engineFact({
  name,
  package: from,
  version,
  backend,
  device,
}: EngineReport): readonly [string, Content] {
  return ['Fitted by', markup`${code(`${from} ${version}`)} (engine ${name}, backend ${backend}, ${device})`];
}

/** The images that could not be read; nothing where there are none. */
export function badImageFacts({ count, names }: TrainReport['badImages']): readonly (readonly [string, Content])[] {
  if (count === 0) return [];
  const list = names.map((name, index) => markup`${index === 0 ? '' : ', '}${code(name)}`);
  return [['Unreadable images', markup`${formatWhole(count)}: ${list}${count > names.length ? ', …' : ''}`]];
}
