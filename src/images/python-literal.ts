/** Longer texts are taken for something else. */
const longest = 2 ** 20;

const words: ReadonlyMap<string, string> = new Map([
  ['True', 'true'],
  ['False', 'false'],
  ['None', 'null'],
]);

/** A part of a literal: a text in either quotes, a number, a word, or one character. */
const token =
  /\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|([-+]?\d[\d.]*(?:[eE][-+]?\d+)?)|([A-Za-z]+)|([[\](){}:,]))\s*/sy;

/**
 * What Python's `repr` writes, or JSON, as a value of JSON: `{0: 'tench', 1: "jack-o'-lantern"}`, `(3, 224, 224)`, `None`;
 * numbers with commas between them are a list. undefined where the text is none of these.
 */
export function parseLiteral(text: string): unknown {
  if (text.length > longest) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    // Python's, then.
  }
  const parts = partsOf(text);
  if (parts === undefined) return undefined;
  const isBare = parts.length > 1 && !/^[[{]/.test(parts[0]!);
  try {
    return JSON.parse(joined(isBare ? ['[', ...parts, ']'] : parts)) as unknown;
  } catch {
    return undefined;
  }
}

/** The parts, each as JSON has it; undefined where there is something else between them. */
function partsOf(text: string): readonly string[] | undefined {
  const parts: string[] = [];
  token.lastIndex = 0;
  while (token.lastIndex < text.length) {
    const match = token.exec(text);
    if (match === null) return undefined;
    const [, single, double, number, word, mark] = match;
    const quoted = single ?? double;
    if (quoted !== undefined) parts.push(JSON.stringify(unescaped(quoted)));
    else if (number !== undefined) parts.push(String(Number(number)));
    else if (word !== undefined) parts.push(words.get(word) ?? 'none');
    else parts.push(mark!.replace('(', '[').replace(')', ']'));
  }
  return parts;
}

/** Without the comma that Python allows at the end; keys of JSON are texts. */
function joined(parts: readonly string[]): string {
  return parts
    .map((part, index) => {
      const next = parts[index + 1];
      if (part === ',' && (next === ']' || next === '}')) return '';
      return next === ':' && /^-?\d/.test(part) ? `"${part}"` : part;
    })
    .join('');
}

const escapes: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r' };

function unescaped(text: string): string {
  return text.replaceAll(
    /\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|(.))/gs,
    (_, two?: string, four?: string, one = '') => {
      const code = two ?? four;
      return code === undefined
        ? (escapes[one as string] ?? (one as string))
        : String.fromCodePoint(parseInt(code, 16));
    },
  );
}
