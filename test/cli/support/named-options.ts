import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import ts from 'typescript';
import { root } from '../../support/command.js';

/** A text in the source that names options. */
export interface NamingText {
  /** Relative to src. */
  readonly file: string;
  readonly line: number;
  /** What stands between the quotes; a placeholder is `…`. */
  readonly text: string;
  /** Whether it is a remedy, which every command hears in its own words. */
  readonly isRemedy: boolean;
}

interface SourceFile {
  readonly imports: readonly string[];
  readonly texts: readonly NamingText[];
}

const src = join(root, 'src');

function textOf(node: ts.Node): string | undefined {
  if (ts.isStringLiteralLike(node)) return node.text;
  if (!ts.isTemplateExpression(node)) return undefined;
  return node.head.text + node.templateSpans.map(({ literal }) => `…${literal.text}`).join('');
}

/** Whether a text is, or is a part of, what a property, constant or function named `remedy` gives. */
function isInRemedy(node: ts.Node): boolean {
  for (let at: ts.Node | undefined = node; at !== undefined; at = at.parent) {
    if ((ts.isPropertyAssignment(at) || ts.isVariableDeclaration(at)) && /remedy$/i.test(at.name.getText()))
      return true;
    if (ts.isFunctionDeclaration(at) && /remedy$/i.test(at.name?.text ?? '')) return true;
    if (ts.isCallExpression(at) && /usage(Error)?$/i.test(at.expression.getText())) return at.arguments.at(-1) === node;
  }
  return false;
}

function readSource(path: string): SourceFile {
  const source = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest, true);
  const imports: string[] = [];
  const texts: NamingText[] = [];
  const follow = (specifier: ts.Node | undefined): void => {
    if (specifier === undefined || !ts.isStringLiteralLike(specifier) || !specifier.text.startsWith('.')) return;
    imports.push(resolve(dirname(path), specifier.text.replace(/\.js$/, '.ts')));
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) {
      if (node.importClause?.phaseModifier !== ts.SyntaxKind.TypeKeyword) follow(node.moduleSpecifier);
      return;
    }
    if (ts.isExportDeclaration(node)) {
      if (!node.isTypeOnly) follow(node.moduleSpecifier);
      return;
    }
    if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) follow(node.arguments[0]);
    const text = textOf(node);
    if (text !== undefined && text.includes('--')) {
      const line = source.getLineAndCharacterOfPosition(node.getStart()).line + 1;
      texts.push({ file: relative(src, path), line, text, isRemedy: isInRemedy(node) });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return { imports, texts };
}

let sources: ReadonlyMap<string, SourceFile> | undefined;

function allSources(): ReadonlyMap<string, SourceFile> {
  sources ??= new Map(
    readdirSync(src, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => [join(src, name), readSource(join(src, name))]),
  );
  return sources;
}

/** Texts that name options, in all files that a command's own imports, one through the other. */
export function textsOf(command: string): readonly NamingText[] {
  const seen = new Set<string>();
  const open = [join(src, 'cli', `${command}.ts`)];
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    if (seen.has(path)) continue;
    seen.add(path);
    open.push(...(allSources().get(path)?.imports ?? []));
  }
  return [...seen].flatMap((path) => allSources().get(path)?.texts ?? []);
}
