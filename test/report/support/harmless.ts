import { expect } from 'vitest';

/** Text that leaves an attribute, an element, a comment and a line where it is not escaped. */
export const HOSTILE = `"><script>alert(1)</script><img src=x onerror='alert(2)'>{a|b}&amp;\u0000\u202E]]>--></svg></style>`;

/** The first places where `page` matches, with a little of what is around them. */
function finds(page: string, pattern: RegExp): readonly string[] {
  const all = page.matchAll(new RegExp(pattern, `gi${pattern.unicode ? 'u' : ''}`));
  return Array.from(all, ({ index }) => page.slice(Math.max(0, index - 20), index + 60)).slice(0, 5);
}

/** Everything that could run, load or leave the page. */
export function expectHarmless(page: string): void {
  expect(finds(page, /<script|<img|<iframe|<object|<embed|<link|<base|<form/)).toEqual([]);
  // Attributes only: a hostile name may say onerror= as text.
  const tags = page.replaceAll(/>[^<]*</g, '><');
  expect(finds(tags, /\son\w+\s*=|javascript:|https?:|url\(/)).toEqual([]);
  expect(finds(page.replaceAll('\n', ''), /\p{Cc}|\u202E/u)).toEqual([]);
  expect(finds(page, /<meta http-equiv="Content-Security-Policy" content="default-src 'none'/)).toHaveLength(1);
}

const VOID = new Set(['meta', 'path', 'circle']);

/** Tags open and close like brackets, and every attribute is quoted: nothing escaped from where it stands. */
export function expectBalanced(page: string): void {
  const open: string[] = [];
  const withoutTags = page.replaceAll(
    /<(\/?)([a-z][\da-z]*)((?:\s+[a-z][\w:-]*="[^"<>]*")*)\s*(\/?)>/gi,
    (_, slash: string, name: string, __, end: string) => {
      if (slash === '/') expect(open.pop()).toBe(name);
      else if (end === '' && name !== 'meta') open.push(name);
      else expect(VOID).toContain(name);
      return '';
    },
  );
  expect(open).toEqual([]);
  expect(finds(withoutTags.replace('<!doctype html>', ''), /</)).toEqual([]);
}
