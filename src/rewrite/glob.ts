/** Whether `name` matches `pattern`: `*` any characters (also "/" and "."), `?` one, everything else itself. */
export function matchesGlob(name: string, pattern: string): boolean {
  const source = pattern
    .replaceAll(/[.+^${}()|[\]\\]/g, String.raw`\$&`)
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`, 's').test(name);
}
