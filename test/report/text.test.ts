import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { displayWidth, pad, printable, truncate, wrap } from '../../src/report/text.js';

const anyText = fc.string({ unit: 'binary' });

describe('printable', () => {
  it('shows what could move the cursor or reorder text', () => {
    expect(printable('a\u001B[2Jb\r\n\u0007')).toBe('a\\u{1B}[2Jb\\u{D}\\u{A}\\u{7}');
    expect(printable('x\u202Egpj.exe\u2069')).toBe('x\\u{202E}gpj.exe\\u{2069}');
    expect(printable('\uD800')).toBe('\\u{D800}');
    expect(printable('layer1.0.conv1/Conv — 中文 é 🦊')).toBe('layer1.0.conv1/Conv — 中文 é 🦊');
  });

  it('leaves no control character in any text, and changes nothing twice', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const shown = printable(text);
        expect(shown).not.toMatch(/\p{Cc}/u);
        expect(printable(shown)).toBe(shown);
      }),
    );
  });
});

describe('displayWidth', () => {
  it.each([
    ['abc', 3],
    ['é', 1],
    ['e\u0301', 1],
    ['中文', 4],
    ['🦊', 2],
    ['ｶﾅ', 2],
    ['', 0],
  ])('%s takes %d columns', (text, width) => {
    expect(displayWidth(text)).toBe(width);
  });
});

describe('truncate and pad', () => {
  it('cuts at the end or in the middle', () => {
    expect(truncate('features.5.1.block.2.fc1/Conv', 16)).toBe('features.5.1.b..');
    expect(truncate('features.5.1.block.2.fc1/Conv', 16, 'middle')).toBe('featu...fc1/Conv');
    expect(truncate('short', 5)).toBe('short');
    expect(truncate('long', 1)).toBe('l');
    expect(pad('7', 3, 'right')).toBe('  7');
    expect(pad('中', 3)).toBe('中 ');
  });

  it('never exceeds the width, and fills it exactly', () => {
    fc.assert(
      fc.property(
        anyText,
        fc.integer({ min: 0, max: 30 }),
        fc.constantFrom('middle' as const, 'end' as const),
        (text, width, where) => {
          const cut = truncate(printable(text), width, where);
          expect(displayWidth(cut)).toBeLessThanOrEqual(width);
          expect(displayWidth(pad(cut, width))).toBe(width);
        },
      ),
    );
  });
});

it('wraps at spaces and keeps every word', () => {
  expect(wrap('one two three', 7)).toEqual(['one two', 'three']);
  expect(wrap('a verylongword b', 4)).toEqual(['a', 'verylongword', 'b']);
  fc.assert(
    fc.property(
      fc.array(fc.stringMatching(/^[a-z]{1,9}$/), { minLength: 1 }),
      fc.integer({ min: 1, max: 40 }),
      (words, width) => {
        const lines = wrap(words.join(' '), width);
        expect(lines.join(' ')).toBe(words.join(' '));
        expect(lines.every((line) => line.length <= width || !line.includes(' '))).toBe(true);
      },
    ),
  );
});
