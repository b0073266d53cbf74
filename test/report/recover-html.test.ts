import { describe, expect, it } from 'vitest';
import type { RecoverReport } from '../../src/contracts/recover.js';
import { convertHtml } from '../../src/report/html/convert-html.js';
import { recoverHtml } from '../../src/report/html/recover.js';
import { expectBalanced, expectHarmless, HOSTILE } from './support/harmless.js';
import { headings, textOf } from './support/page-text.js';
import { recoverReport } from './support/recover-report.js';
import { resnet50 } from './support/resnet50-report.js';
import { goodAgreement } from './support/sensitive-report.js';

const titles = (page: string): ReadonlySet<string> =>
  new Set(Array.from(page.matchAll(/<title>([^<]*)<\/title>/g), ([, title]) => title ?? ''));

describe('recoverHtml', () => {
  const report = recoverReport();

  it('says how close the model came, by what, and with which settings', async () => {
    const page = await recoverHtml(report);
    expectHarmless(page);
    expectBalanced(page);
    const text = textOf(page);
    expect(text).toContain('Trained for 600 updates to compute what resnet50.onnx does, on 500 pictures.');
    expect(text).toContain('Closer to the original. Written: the weights of step 540: loss 0.3000 (1.9000 before)');
    expect(text).toContain('Agreement with the teacher 96.0 % 62.0 % before');
    expect(text).toContain('Learning rate 0.001 of 3 short trainings');
    expect(text).toContain('photos : 500 pictures');
    expect(text).toContain('others of these: 100 pictures that the model did not learn from');
    expect(text).toContain('frozen: by its running statistics');
    expect(text).toContain('1 time, with half of the rate each');
    expect(text).toContain('0.001 40 0.7200 chosen');
    expect(text).toContain('0.003 40 not finite');
    expect(text).toContain('The table of 54 values');
    for (const { name } of report.matching.points) expect(text).toContain(` ${name} 0.0185 `);
    for (const { step, trainingLoss, loss } of report.evaluations) {
      expect(text).toContain(` ${step} ${trainingLoss.toFixed(4)} ${loss.toFixed(4)} `);
    }
    expect(text).toContain('0 1.9000 62.0 % start');
    expect(text).toContain(report.command);
    expect(text).toContain(report.output!.sha256);
    expect(headings(page)).toEqual([
      'Loss',
      'Agreement with the teacher',
      'Learning rate',
      'Learning rates that were tried',
      'Matched values',
    ]);
  });

  it('marks the start and the written step in the curves', async () => {
    const shown = titles(await recoverHtml(report));
    for (const title of [
      'step 0, pictures kept out: 1.9',
      'step 540, pictures kept out: 0.3',
      'start: 1.9000',
      'written: 0.3000',
      'start: 62.0 %',
      'written: 96.0 %',
    ]) {
      expect(shown, title).toContain(title);
    }
    expect(shown).not.toContain('step 0, training: 1.9');
  });

  it('says where nothing came closer, and why it ended', async () => {
    const { start } = report;
    const page = await recoverHtml({ ...report, written: { ...start, step: 0 }, status: 'stopped early' });
    expect(page).toContain('<div class="verdict caution">');
    expect(textOf(page)).toMatch(/No closer to the original\. Written: the weights that it began with.*ended early/);
    expect(textOf(page)).toContain('0 1.9000 62.0 % start, written');
  });

  it('shows models that tell no classes apart, given rates, labels, and a run without a look', async () => {
    const detector = await recoverHtml(recoverReport({ isClassifier: false, points: 3 }));
    expect(headings(detector)).not.toContain('Agreement with the teacher');
    expect(detector).not.toContain('<summary>The table of 3 values');
    const given = { ...report, rate: { lr: 0.01, from: 'option', trials: [] } } as const;
    expect(headings(await recoverHtml(given))).not.toContain('Learning rates that were tried');
    const labelled = await recoverHtml({ ...report, settings: { ...report.settings, labelWeight: 0.5 } });
    expect(headings(labelled)).toContain('Right by the labels');
    const none = await recoverHtml({ ...report, evaluations: [], written: null, output: null, status: 'interrupted' });
    expectBalanced(none);
    expect(textOf(none)).toContain('It was interrupted.');
  });

  it('leaves gaps where losses are not finite', async () => {
    const evaluations = report.evaluations.map((each, index) =>
      Object.assign({}, each, index === 4 ? { loss: NaN, trainingLoss: Infinity } : {}),
    );
    const page = await recoverHtml({ ...report, evaluations });
    expectBalanced(page);
    expect(page).not.toMatch(/<path[^>]*NaN/);
  });

  it('shows hostile texts as text', async () => {
    const hostile: RecoverReport = {
      ...recoverReport({ rename: () => HOSTILE }),
      command: HOSTILE,
      model: { ...report.model, path: `a/${HOSTILE}`, producer: HOSTILE },
      teacher: { ...report.teacher, path: HOSTILE },
      settings: { [HOSTILE]: HOSTILE },
      data: { path: HOSTILE, images: 9, heldOut: { path: HOSTILE, images: 9, from: 'option' } },
      output: { path: HOSTILE, bytes: 1, sha256: HOSTILE },
      warnings: [HOSTILE],
    };
    const page = await recoverHtml(hostile);
    expectHarmless(page);
    expectBalanced(page);
  });
});

describe('the page of a conversion that was recovered', () => {
  it('has the recovery, with its warnings, in place of the advice for what was before it', async () => {
    const recovery = { ...recoverReport(), warnings: ['4 pictures are small'] };
    const agreement = { ...goodAgreement, advice: 'keep more' };
    const page = await convertHtml({ ...resnet50().report, agreement, recovery });
    expectHarmless(page);
    expectBalanced(page);
    const text = textOf(page);
    expect(text).toContain('Closer to the original. Written: the weights of step 540');
    expect(text).toMatch(/Before it: 96\.1 %/);
    expect(text).not.toContain('keep more');
    expect(text).toContain('4 pictures are small');
    expect(page).toContain('<h2>Towards the original</h2>');
    expect(headings(page)).toContain('Learning rates that were tried');
    expect(await convertHtml({ ...resnet50().report, agreement })).not.toContain('Towards the original');
  });
});
