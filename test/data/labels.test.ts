import { describe, expect, it } from 'vitest';
import { plainClasses } from '../../src/data/class-list.js';
import { classLabels, type LabelOptions } from '../../src/data/labels.js';
import { failureOf } from '../support/errors.js';

const options: LabelOptions = { given: undefined, place: 'set', nameOf: (index) => `image '${index}'` };

describe('labels', () => {
  it('are numbers, however those are written', () => {
    const values = ['7', '+1', '1.0', ' 2. ', '[1]', '[ 3.0 ]', '1e0', '007', '5.000000000000000000e+00', '\uFEFF4\n'];
    const { classes, labels } = classLabels(values, options);
    expect(labels).toEqual([7, 1, 1, 2, 1, 3, 1, 7, 5, 4]);
    expect(classes.ids).toEqual(['0', '1', '2', '3', '4', '5', '6', '7']);
    const wrapped = ['"3"', "b'2'", '(1,)', "['0']", '[[4]]', '[ 1. ]', '-0'];
    expect(classLabels(wrapped, options).labels.map((label) => label + 0)).toEqual([3, 2, 1, 0, 4, 1, 0]);
    const others = [3n, 1, true, [2], [[0]], ['[1]'], Buffer.from('2'), new Uint8Array([0x33])];
    expect(classLabels(others, options).labels).toEqual([3, 1, 1, 2, 0, 1, 2, 3]);
  });

  it('are names, sorted, where none is a number', () => {
    const { classes, labels } = classLabels(['dog', ' cat\n', Buffer.from('dog'), ['b2']], options);
    expect([classes.ids, labels]).toEqual([
      ['b2', 'cat', 'dog'],
      [2, 1, 2, 0],
    ]);
  });

  it('are refused where they are neither, and the first is named', async () => {
    const factOf = async (values: readonly unknown[]): Promise<string> =>
      (await failureOf('FORMAT', () => classLabels(values, options))).fact;
    expect(await factOf(['0', '-1', '-1'])).toBe(
      "image '1' has label -1, and classes are whole numbers from 0 (2 of 3 labels are none)",
    );
    expect(await factOf([0, 1.5])).toContain("image '1' has label 1.5,");
    expect(await factOf([0, Number.NaN])).toContain("image '1' has label NaN,");
    expect(await factOf(['0', '1e30'])).toContain("image '1' has label 1e30,");
    expect(await factOf(['3', 'dog', 'cat'])).toBe(
      "labels are numbers and names: image '0' has 3, image '1' has 'dog'",
    );
    for (const none of [null, undefined, '', ' \n', [], {}, [1n, 2n], 'two\nlines', '\0']) {
      expect(await factOf(['0', none])).toContain("image '1' has no label that names one class");
    }
    expect(await factOf([[1n, 2n]])).toContain('but [1, 2]');
    let deep: unknown = 1;
    for (let depth = 0; depth < 50_000; depth++) deep = [deep];
    expect(await factOf([deep])).toContain('but lists in lists');
    expect(await factOf(['1', `${'['.repeat(50_000)}1${']'.repeat(50_000)}`])).toContain(
      'labels are numbers and names',
    );
  });

  it('cost nothing where a number is no class', async () => {
    for (const large of [100_000_000, 2 ** 31, 2 ** 52]) {
      const failure = await failureOf('INPUT', () => classLabels([0, 1, large], options));
      expect(failure.fact).toBe(`class ${large} of 3 found: 0, 1, ${large}`);
      expect(failure.place).toBe("set, image '2'");
    }
    const many = Array.from({ length: 20 }, (_, index) => (index === 19 ? 10 ** 8 : index));
    const failure = await failureOf('INPUT', () => classLabels(many, options));
    expect(failure.fact).toBe('class 100000000 of 20 found: 0, 1, 2, … 100000000');
    expect(classLabels([0, 99_999], options).classes.ids).toHaveLength(100_000);
    expect(classLabels([2, 0], { ...options, given: plainClasses(['a', 'b', 'c']) }).labels).toEqual([2, 0]);
    const beyond = await failureOf('INPUT', () => classLabels([0, 5], { ...options, given: plainClasses(['a']) }));
    expect(beyond.fact).toBe("image '1' has label 5, and the class list has 1 classes");
  });

  it('of numbers are positions in the own list, whose names are found in the given one', async () => {
    const own = plainClasses(['cat', 'dog']);
    const label = (given: readonly string[]): readonly number[] =>
      classLabels([0, 1], { ...options, own, given: plainClasses(given) }).labels;
    expect(label(['ant', 'cat', 'dog'])).toEqual([1, 2]);
    expect(label(['dog', 'cat'])).toEqual([1, 0]);
    // Other names for as many classes say nothing but their positions.
    expect(label(['n01', 'n02'])).toEqual([0, 1]);
    const missing = await failureOf('INPUT', () => label(['cat', 'ant']));
    expect(missing.fact).toBe("class 'dog' of the data set is not in the class list of 2");
    await failureOf('INPUT', () => label(['n01', 'n02', 'n03']));
    const counted = { ...options, own: plainClasses(['0', '1']), given: plainClasses(['a', 'b', 'c']) };
    expect(classLabels([0, 1], counted).labels).toEqual([0, 1]);
  });

  it('of numbers are refused in a list that has those numbers as names in another order', async () => {
    const given = plainClasses(['0', '1', '10', '2']);
    const failure = await failureOf('INPUT', () => classLabels(['0', '2'], { ...options, given }));
    expect(failure.fact).toBe("label 2 may be the class '2' or the one at position 2, '10'");
    expect(classLabels(['0', '1'], { ...options, given }).labels).toEqual([0, 1]);
    expect(classLabels(['10', '2'], { ...options, given }).labels).toEqual([2, 3]);
    expect(classLabels(['a', '7'], { ...options, given: plainClasses(['7', 'a']) }).labels).toEqual([1, 0]);
  });
});
