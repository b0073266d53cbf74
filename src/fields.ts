import { nameOptionsBy } from './errors.js';

/** Options whose fields, or functions, of the library have other names than the flags. */
const otherNames: ReadonlyMap<string, string> = new Map([
  ['-o', 'output'],
  ['--input-shape', 'inputShapes'],
  ['--cache-images', 'cache'],
  ['--max-pixels', 'pixelLimit'],
  ['--explain', 'explainTraining'],
  ['--lr-find', 'findLearningRate'],
  ['--curve', 'tradeOffCurve'],
  ['--then', 'conversion'],
]);

/** A command line in backticks, or an option's flag: neither a part of a path nor in quotes, where names of users stand. */
const flagPattern = /`[^`]*`|(?<![^\s(,;])(?:--[a-z][a-z0-9]*(?:-[a-z0-9]+)*|-o)(?![\w/\\-])/g;

/** A text with the names of fields in place of flags: `--rank-scale` → `rankScale`, `--no-verify` → `verify: false`. */
export function inFields(text: string): string {
  return text.replaceAll(flagPattern, (found) => (found.startsWith('`') ? found : `\`${fieldOf(found)}\``));
}

function fieldOf(flag: string): string {
  const other = otherNames.get(flag);
  if (other !== undefined) return other;
  const isNo = flag.startsWith('--no-');
  const name = flag.slice(isNo ? 5 : 2).replaceAll(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
  return isNo ? `${name}: false` : name;
}

/** From now on errors and reports of this process name fields of the library, where the source has flags of the commands. */
export function nameFields(): void {
  nameOptionsBy(inFields);
}
