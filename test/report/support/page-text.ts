/** What a reader sees outside of the pictures. */
export function textOf(page: string): string {
  return page
    .replace(/<style>[^]*?<\/style>/, '')
    .replaceAll(/<svg[^]*?<\/svg>/g, '')
    .replaceAll(/<[^>]*>/g, ' ')
    .replaceAll(/\s+/g, ' ');
}

export function headings(page: string): readonly string[] {
  return Array.from(page.matchAll(/<h3>([^<]*)<\/h3>/g), ([, title]) => title ?? '');
}
