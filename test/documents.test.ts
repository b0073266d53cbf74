import { existsSync, readFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { root } from './support/command.js';

const read = (path: string): string => readFileSync(join(root, path), 'utf8');

/** What is behind the prompt, in the order of the text. */
function typed(text: string): readonly string[] {
  return text.split('\n').flatMap((line) => (line.startsWith('$ ') ? [line.slice(2)] : []));
}

async function stepsOf<Step>(script: string): Promise<readonly Step[]> {
  const { steps } = (await import(join(root, 'scripts', script))) as { readonly steps: readonly Step[] };
  return steps;
}

describe('README.md', () => {
  const readme = read('README.md');
  const [first = '', demo = ''] = readme.split(/^## .*\n/m);

  it('shows the commands that the demo runs, and no others', async () => {
    expect(typed(demo)).toEqual(await stepsOf<string>('demo-steps.js'));
  });

  it('has one line to install, and a result, on its first screen', () => {
    const { name, version } = JSON.parse(read('package.json')) as { readonly name: string; readonly version: string };
    expect(first.split('\n').length).toBeLessThanOrEqual(45);
    expect(first.match(/^npm install .*$/gm)).toEqual([expect.stringContaining(`./${name}-${version}.tgz `)]);
    expect(typed(first).map((line) => line.split(' ')[1])).toEqual(['convert', 'eval']);
    expect(first).toMatch(/^latency +\d.* ms -> \d.* ms /m);
    expect(first).toMatch(/^versus .* top-1 [\d.]+ %, difference /m);
  });

  it('links what there is', () => {
    for (const [, path] of readme.matchAll(/\]\((?!https?:|#)([^)#]+)/g)) {
      expect(existsSync(join(root, path!)), path).toBe(true);
    }
  });
});

interface Step {
  readonly title: string;
  readonly command: string;
}

describe('docs/first-five-minutes.md', () => {
  const text = read('docs/first-five-minutes.md');
  const [header = '', ...events] = read('docs/first-five-minutes.cast').trimEnd().split('\n');

  it('shows the commands that were recorded, with their times, and says what is left out', async () => {
    const steps = await stepsOf<Step>('first-minutes-steps.js');
    expect(typed(text)).toEqual(steps.map(({ command }) => command));
    for (const { title } of steps) expect(text).toContain(`\n## ${title}\n`);
    expect(text.match(/^\*[\d.]+ (?:s|min \d\d s)\*$/gm)).toHaveLength(steps.length);
    expect(text).toMatch(/^… \(\d+ lines\)$/m);
  });

  it('has the same as a recording of a terminal (asciinema 2), whole, in its time', async () => {
    const steps = await stepsOf<Step>('first-minutes-steps.js');
    expect(JSON.parse(header)).toMatchObject({ version: 2, width: 160, height: 40 });
    const frames = events.map((line) => JSON.parse(line) as [number, string, string]);
    expect(frames.every(([, kind, output]) => kind === 'o' && output.endsWith('\r\n'))).toBe(true);
    const times = frames.map(([time]) => time);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    const output = frames.map(([, , line]) => line.replace('\r\n', '\n')).join('');
    expect(typed(output)).toEqual(steps.map(({ command }) => command));
    const whole = new Set(output.split('\n').map((line) => line.trimEnd()));
    for (const [, block] of text.matchAll(/^```\n([^]*?)\n```$/gm)) {
      for (const line of block!.split('\n')) if (!line.startsWith('… (')) expect(whole).toContain(line);
    }
  });

  it('names no folder of the machine that it was recorded on', () => {
    for (const path of [homedir(), tmpdir(), root]) {
      for (const recorded of [text, header, ...events]) expect(recorded).not.toContain(`${path}/`);
    }
  });
});
