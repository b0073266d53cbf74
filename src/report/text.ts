/** Text that came from a model, fit to be shown: layer names and paths may hold anything. */

/** Control characters, lone surrogates, line separators and the format characters that reorder or hide what is around them. */
const UNPRINTABLE = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069\uFEFF]/gu;

/** `text` on one line, with every character that could move the cursor or reorder text as `\u{1B}`. */
export function printable(text: string): string {
  const escape = (character: string): string => `\\u{${(character.codePointAt(0) ?? 0).toString(16).toUpperCase()}}`;
  return text.replaceAll(UNPRINTABLE, escape);
}

/** Combining marks, joiners and other format characters, which take no column of their own. */
const ZERO_WIDTH = /^[\p{Mn}\p{Me}\p{Cf}]$/u;
/** Scripts and pictures that take two columns (the wide ranges of Unicode's East Asian Width). */
const WIDE =
  /^[\u1100-\u115F\u2E80-\u303E\u3041-\uA4CF\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF00-\uFF60\uFFE0-\uFFE6\u{1F300}-\u{1F64F}\u{1F680}-\u{1F6FF}\u{1F900}-\u{1F9FF}\u{20000}-\u{3FFFD}]$/u;

function widthOfCharacter(character: string): number {
  if (character <= '~') return 1;
  if (ZERO_WIDTH.test(character)) return 0;
  return WIDE.test(character) ? 2 : 1;
}

/** Columns that printable text takes in a terminal. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const character of text) width += widthOfCharacter(character);
  return width;
}

/** The longest start of `text` that takes at most `width` columns. */
function startOf(text: string, width: number): string {
  let used = 0;
  let start = '';
  for (const character of text) {
    used += widthOfCharacter(character);
    if (used > width) break;
    start += character;
  }
  return start;
}

function endOf(text: string, width: number): string {
  let used = 0;
  let end = '';
  for (const character of Array.from(text).toReversed()) {
    used += widthOfCharacter(character);
    if (used > width) break;
    end = character + end;
  }
  return end;
}

/** `text` cut to `width` columns, with ".." where something is missing. Layer names differ at both ends: cut those in the middle. */
export function truncate(text: string, width: number, where: 'middle' | 'end' = 'end'): string {
  if (displayWidth(text) <= width) return text;
  if (width <= 2) return startOf(text, width);
  if (where === 'end') return `${startOf(text, width - 2)}..`;
  const tail = Math.ceil((width - 2) * 0.6);
  return `${startOf(text, width - 2 - tail)}..${endOf(text, tail)}`;
}

/** `text` filled with spaces to `width` columns. */
export function pad(text: string, width: number, align: 'left' | 'right' = 'left'): string {
  const fill = ' '.repeat(Math.max(0, width - displayWidth(text)));
  return align === 'left' ? text + fill : fill + text;
}

/** `text` in lines of at most `width` columns, broken at spaces; a longer word stays whole. */
export function wrap(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && displayWidth(line) + 1 + displayWidth(word) > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
