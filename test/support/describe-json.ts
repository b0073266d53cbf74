/**
 * Where a document differs from its description, one line for each place; empty where it does not. A description is an
 * object with the same keys, a list with the description of its items, or a text: kinds separated by "|", or "=" and the
 * value.
 */
export function differences(document: unknown, description: unknown, path = ''): string[] {
  if (typeof description === 'string') {
    const isRight = description.startsWith('=')
      ? document === description.slice(1)
      : description.split('|').some((kind) => kinds[kind]!(document));
    return isRight ? [] : [`${path}: ${JSON.stringify(document)} is no ${description}`];
  }
  if (Array.isArray(description)) {
    if (!Array.isArray(document)) return [`${path}: no list`];
    return document.flatMap((item, i) => differences(item, description[0], `${path}[${i}]`));
  }
  if (typeof document !== 'object' || document === null || Array.isArray(document)) return [`${path}: no object`];
  const expected = description as Record<string, unknown>;
  const actual = document as Record<string, unknown>;
  return [...new Set([...Object.keys(expected), ...Object.keys(actual)])].flatMap((key) => {
    const place = `${path}.${key}`;
    if (!(key in actual)) return [`${place} is missing`];
    return key in expected ? differences(actual[key], expected[key], place) : [`${place} is not described`];
  });
}

const kinds: Readonly<Record<string, (value: unknown) => boolean>> = {
  string: (value) => typeof value === 'string' && value !== '',
  number: (value) => typeof value === 'number' && Number.isFinite(value),
  count: (value) => Number.isSafeInteger(value) && (value as number) >= 0,
  boolean: (value) => typeof value === 'boolean',
  list: (value) => Array.isArray(value),
  null: (value) => value === null,
};
