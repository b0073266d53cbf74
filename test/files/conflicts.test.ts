import { linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { checkPaths, type PathUse, reads, writes } from '../../src/files/conflicts.js';
import { failureOf } from '../support/errors.js';

const root = mkdtempSync(join(tmpdir(), 'lowrank-paths-'));
afterAll(() => {
  rmSync(root, { recursive: true });
});
const at = (...parts: readonly string[]): string => join(root, ...parts);

mkdirSync(at('real/photos/cat'), { recursive: true });
mkdirSync(at('Other'));
writeFileSync(at('real/model.onnx'), 'model');
writeFileSync(at('real/photos/cat/1.png'), 'image');
symlinkSync('real', at('link'));
symlinkSync('real/model.onnx', at('model-link'));
symlinkSync('real/new.onnx', at('dangling'));
symlinkSync('dangling', at('dangling-twice'));
symlinkSync('circle', at('circle'));
linkSync(at('real/model.onnx'), at('hard'));

const model = reads(at('real/model.onnx'), 'the model');
const photos = reads(at('real/photos'), 'the images', '--data', 'folder');
const report = (...path: readonly string[]): PathUse => writes(at(...path), 'the report', '--report');
const folderUse = (...path: readonly string[]): PathUse => writes(at(...path), 'the folder', '-o', 'folder');
const shared = (...path: readonly string[]): PathUse => writes(at(...path), 'the events', '--events', 'shared');
const isCaseInsensitive =
  readdirSync(root).length > 0 &&
  ((): boolean => {
    try {
      return readdirSync(at('oTHER')).length === 0;
    } catch {
      return false;
    }
  })();

describe('paths of one command', () => {
  it.each<[string, PathUse, PathUse]>([
    ['the very path', report('real/model.onnx'), model],
    ['dots', { ...report(), path: `${root}/./real/../real/model.onnx` }, model],
    ['a relative path', { ...report(), path: relative(process.cwd(), at('real/model.onnx')) }, model],
    ['a linked folder', report('link/model.onnx'), model],
    ['a symbolic link', report('model-link'), model],
    ['an input by a symbolic link', report('real/model.onnx'), reads(at('model-link'), 'the model')],
    ['a hard link', report('hard'), model],
    ['two outputs that are not there', report('link/new'), writes(at('real/new'), 'the output', '-o')],
    ['through links that lead nowhere', report('dangling-twice'), writes(at('real/new.onnx'), 'the output', '-o')],
    ['an output in the images', report('link/photos/report.html'), photos],
    ['an output in a folder of them', report('real/photos/cat/x/report.html'), photos],
    ['the folder of the images', folderUse('link/photos'), photos],
    ['a folder around the images', folderUse('real'), photos],
    ['a folder around the model', folderUse('link'), model],
    ['a folder in the images', folderUse('real/photos/new/deep'), photos],
    ['a file below an output', folderUse('new/deep'), writes(at('new/deep/x/y'), 'the report')],
    ['below a file', report('new.html'), writes(at('new.html/x'), 'the output')],
    ['events among the images', shared('real/photos'), photos],
    ['events below an output', shared('new/deep'), folderUse('new')],
    ['events where a file goes', shared('new'), report('new')],
  ])('%s', async (_, output, other) => {
    const error = await failureOf('USAGE', () => checkPaths([output, other]));
    await failureOf('USAGE', () => checkPaths([other, output]));
    expect(error.message).toMatch(/ (are the same (file|folder)|lies in .*); .*; choose another (with --?\w+|path)$/);
    expect(error.remedy).not.toContain('undefined');
  });

  it.each<[string, readonly PathUse[]]>([
    ['inputs may be one', [model, reads(at('hard'), 'the other model')]],
    ['files beside each other', [model, report('real/model.onnx.html'), writes(at('real/m'), 'the output')]],
    ['a name that begins like a folder', [photos, report('real/photos.html'), folderUse('real/photos2')]],
    ['events beside all', [model, photos, report('real/r'), shared('real')]],
    ['links in a circle', [model, report('circle'), report('circle2')]],
    ['a missing input', [reads(at('nothing'), 'the model'), report('nothing.html')]],
    ['other names of folders that are not there', [folderUse('new/a'), writes(at('new/b'), 'b'), report('new/ab')]],
  ])('%s', (_, uses) => {
    checkPaths(uses);
  });

  it('letters of the other case are as the file system has them', async () => {
    const uses = [report('Other/New.html'), writes(at('Other/nEW.html'), 'the output')];
    if (isCaseInsensitive) await failureOf('USAGE', () => checkPaths(uses));
    else checkPaths(uses);
    expect(readdirSync(at('Other'))).toEqual([]);
  });
});
