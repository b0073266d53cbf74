import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { root } from './support/command.js';
import { hasShared, sharedFolder } from './support/shared.js';

type Outputs = ReadonlyMap<string, Buffer>;

const comparison = pathToFileURL(join(root, 'scripts/same-outputs-compare.js')).href;
const { differences } = (await import(comparison)) as { differences(a: Outputs, b: Outputs): readonly string[] };

const outputs = (files: Readonly<Record<string, string | Uint8Array | object>>): Outputs =>
  new Map(
    Object.entries(files).map(([name, content]) => [
      name,
      Buffer.from(
        typeof content === 'string' || content instanceof Uint8Array ? content : JSON.stringify(content, null, 2),
      ),
    ]),
  );
const between = (a: string | Uint8Array | object, b: string | Uint8Array | object): readonly string[] =>
  differences(outputs({ it: a }), outputs({ it: b }));

const report = { tool: { version: '0.1.0' }, layers: [{ rank: 4, seconds: 0.2 }], seconds: { read: 1 } };

describe('what two checkouts give', () => {
  it('is the same where only times and versions differ', () => {
    const other = { tool: { version: '0.2.0' }, layers: [{ rank: 4, seconds: 0.31 }], seconds: { read: 2 } };
    expect(between(report, other)).toEqual([]);
  });

  it('differs by a number of a JSON document, which is named by its path', () => {
    expect(between(report, { ...report, layers: [{ rank: 5, seconds: 0.2 }] })).toEqual([
      'it: layers[0].rank: 4 and 5',
    ]);
  });

  it('differs by fields: those that are missing, times too, and their order', () => {
    expect(between(report, { ...report, more: null })).toEqual(['it: more: missing and null']);
    expect(between(report, { ...report, seconds: { read: 2, write: 1 } })).toEqual([
      'it: seconds.write: missing and 1',
    ]);
    const { tool, layers, seconds } = report;
    expect(between(report, { layers, tool, seconds })).toEqual(['it: the document: fields in another order']);
  });

  it('differs by the form of a JSON document', () => {
    expect(between(report, JSON.stringify(report))).toEqual(['it: the same document in 14 and 1 lines']);
  });

  it('is the same text where times, rates, the columns behind them and signs of life differ', () => {
    expect(
      between(
        'epoch 1  loss 2.1  286 img/s  data wait 9.6 %  0.55 s',
        'epoch 1  loss 2.1  88.1 img/s  data wait < 0.1 %  1 min 02 s',
      ),
    ).toEqual([]);
    expect(
      between('1  2.26  46.7 %    286  9.6 %  239 MB  0.55 s', '1  2.26  46.7 %  1.20 k   12.0 %  1.10 GB  12.1 s'),
    ).toEqual([]);
    const alive = [
      'writing [--------] 0/1  small.onnx',
      'factorize [####----] 3/9 40 s left  conv1',
      'read 12 5 s so far',
    ];
    expect(between('done', [...alive, 'done'].join('\n'))).toEqual([]);
  });

  it('differs by a word or a number of a text', () => {
    expect(between('a\nloss 2.1  0.55 s', 'a\nloss 2.2  0.61 s')).toEqual([
      'it: line 2: "loss 2.1  <time>" and "loss 2.2  <time>"',
    ]);
  });

  it('differs by one byte of a binary file, and by files that one alone has', () => {
    const [difference] = between(new Uint8Array([8, 255, 1]), new Uint8Array([8, 255, 2]));
    expect(difference).toMatch(/^it: 3 bytes \(sha256 \w{12}\) and 3 bytes \(sha256 \w{12}\), from byte 2 on$/);
    expect(differences(outputs({ a: 'x' }), outputs({ b: 'x' }))).toEqual([
      'a: missing in the second',
      'b: missing in the first',
    ]);
  });
});

const compareCheckouts = (...words: readonly string[]): ReturnType<typeof spawnSync> =>
  spawnSync(process.execPath, [join(root, 'scripts/same-outputs.js'), ...words], {
    encoding: 'utf8',
    env: { ...process.env, LOWRANK_SHARED: sharedFolder },
  });

describe.skipIf(!hasShared)('scripts/same-outputs.js', () => {
  it('runs the cases that are asked for in both', () => {
    const { stdout, status } = compareCheckouts(root, root, '--cases', 'help/mer*');
    expect(stdout).toBe('help/merge: same\n1 of 1 cases are the same, in 6 outputs\n');
    expect(status).toBe(0);
  });

  it('refuses cases that there are not', () => {
    const { stderr, status } = compareCheckouts(root, root, '--cases', 'nothing');
    expect(stderr).toMatch(/^no case is named 'nothing'; there are: weights\/conv8, /);
    expect(status).toBe(2);
  });
});
