import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { root } from './support/command.js';

interface Locked {
  readonly license?: string;
  readonly dev?: boolean;
  readonly devOptional?: boolean;
  readonly hasInstallScript?: boolean;
}

const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
  readonly packages: Readonly<Record<string, Locked>>;
};
/** What is installed with the package. Peers that are optional come with `devDependencies` only. */
const runtime = Object.entries(lock.packages)
  .filter(([path, { dev, devOptional }]) => path !== '' && dev !== true && devOptional !== true)
  .map(([path, { license, hasInstallScript }]) => ({
    name: path.split('node_modules/').at(-1)!,
    license,
    hasInstallScript,
  }));

/** "MIT: a, b-*" → license and names; an entry goes on in indented lines. */
const notice = readFileSync(join(root, 'NOTICE'), 'utf8')
  .replaceAll(/\n {2}/g, ' ')
  .split('\n')
  .flatMap((line) => {
    const match = /^((?:[\w.-]+)(?: (?:AND|OR) [\w.-]+)*): (.+)$/.exec(line);
    return match === null ? [] : [{ license: match[1]!, names: match[2]!.split(', ') }];
  });

/** The license that the longest fitting name has. */
function noticed(name: string): string | undefined {
  const fits = (pattern: string): boolean =>
    pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
  return notice
    .flatMap(({ license, names }) => names.filter(fits).map((pattern) => ({ license, pattern })))
    .toSorted((a, b) => b.pattern.length - a.pattern.length)[0]?.license;
}

describe('NOTICE', () => {
  it('names every package that is installed with this one, with its license', () => {
    expect(runtime.length).toBeGreaterThan(30);
    for (const { name, license } of runtime) {
      expect({ name, license: noticed(name) }).toEqual({ name, license: license!.replaceAll(/[()]/g, '') });
    }
  });

  it('names no other package', () => {
    const isThere = (pattern: string): boolean =>
      runtime.some(({ name }) => name === pattern || (pattern.endsWith('*') && name.startsWith(pattern.slice(0, -1))));
    expect(notice.flatMap(({ names }) => names).filter((name) => !isThere(name))).toEqual([]);
  });

  it('needs the install scripts of no package that was not looked at', () => {
    // koffi's and sharp's binaries are packages of their own, onnxruntime-node's lie in its package: on CPU no script has to run.
    expect(runtime.filter(({ hasInstallScript }) => hasInstallScript).map(({ name }) => name)).toEqual([
      'koffi',
      'onnxruntime-node',
    ]);
    expect(readFileSync(join(root, '.npmrc'), 'utf8')).toBe('ignore-scripts=true\n');
    const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      readonly scripts: Readonly<Record<string, string>>;
    };
    // npm runs no script before or after another one here: what has to be built is built by the script itself.
    const around = Object.keys(scripts).filter((name) => /^(pre|post)/.test(name) || /^(prepare|install)$/.test(name));
    expect(around).toEqual([]);
    for (const name of ['test', 'demo', 'bench']) expect(scripts[name], name).toMatch(/^npm run build && /);
  });
});
