import { describe, expect, it } from 'vitest';
import { plainClasses } from '../../src/data/class-list.js';
import { relabelled } from '../../src/data/relabel.js';
import type { ImageSource } from '../../src/data/types.js';

function source(classes: readonly string[], more: Partial<ImageSource> = {}): ImageSource {
  return {
    ...{ format: 'folder', path: 'photos', classes, titles: classes, hasGivenClasses: false },
    ...{ length: classes.length, blocks: undefined, warnings: [] },
    label: (index) => index,
    name: String,
    locate: () => undefined,
    read: (index) => Promise.resolve({ bytes: new Uint8Array(), label: index, name: String(index) }),
    close: () => Promise.resolve(),
    ...more,
  };
}

const labels = ({ length, label }: ImageSource): number[] => Array.from({ length }, (_, index) => label(index));

describe('images in the classes of another list', () => {
  it('have the labels of their names there, by identifier or title', async () => {
    const moved = relabelled(source(['ant', 'bee']), plainClasses(['cat', 'bee', 'ant']))!;
    expect([labels(moved), moved.classes, moved.hasGivenClasses]).toEqual([[2, 1], ['cat', 'bee', 'ant'], true]);
    expect((await moved.read(0)).label).toBe(2);
    const titled = relabelled(source(['tench', 'shark']), { ids: ['n2', 'n1'], titles: ['shark', 'tench'] })!;
    expect([labels(titled), titled.titles]).toEqual([
      [1, 0],
      ['shark', 'tench'],
    ]);
    const known = source(['n1', 'n2'], { titles: ['tench', 'shark'] });
    expect(labels(relabelled(known, plainClasses(['shark', 'tench']))!)).toEqual([1, 0]);
  });

  it('keep numbers as positions', () => {
    expect(labels(relabelled(source(['0', '1']), plainClasses(['cat', 'bee', 'ant']))!)).toEqual([0, 1]);
    expect(relabelled(source(['0', '1', '2', '3']), plainClasses(['cat', 'bee', 'ant']))).toBeUndefined();
  });

  it('move labels of several classes with them', () => {
    const several = source(['ant', 'bee'], { targets: (index) => Uint8Array.of(1, index) });
    const { targets } = relabelled(several, plainClasses(['cat', 'bee', 'ant']))!;
    expect([targets!(0), targets!(1)].map((each) => Array.from(each))).toEqual([
      [0, 0, 1],
      [0, 1, 1],
    ]);
  });

  it('are not told apart where a name is missing, or two are one', () => {
    expect(relabelled(source(['ant', 'dog']), plainClasses(['ant', 'bee']))).toBeUndefined();
    expect(relabelled(source(['n1', 'ant']), { ids: ['n1', 'n2'], titles: ['ant', 'bee'] })).toBeUndefined();
  });
});
