import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect } from 'vitest';
import type { ConvertReport } from '../../src/contracts/convert.js';
import { faultOf } from './schemas.js';
import { callStanding } from './standing.js';

export const root = fileURLToPath(new URL('../..', import.meta.url));
export const lowrank = join(root, 'bin/lowrank.js');
if (!existsSync(join(root, 'dist/src/cli/lowrank.js'))) throw new Error('run `npm run build` first: bin/ calls dist/');

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the real program, in a process of its own. */
export function runAlone(...words: readonly string[]): Outcome {
  const { status, stdout, stderr } = spawnSync(process.execPath, [lowrank, ...words], {
    encoding: 'utf8',
    env: environment(),
    maxBuffer: 1e8,
  });
  return checked(words, { code: status, stdout, stderr });
}

/**
 * Runs the real program, in a process that is started once for all that a process of tests runs: two thirds of a short command
 * are its imports.
 */
export function run(...words: readonly string[]): Outcome {
  return runIn(process.cwd(), ...words);
}

/** The same, where paths are relative to `folder`. */
export function runIn(folder: string, ...words: readonly string[]): Outcome {
  return checked(words, callStanding({ words, environment: environment(), folder }));
}

function environment(): NodeJS.ProcessEnv {
  return { ...process.env, LOWRANK_DEBUG: '' };
}

/** What is printed as JSON is held to the schema that it is published with. */
function checked(words: readonly string[], outcome: Outcome): Outcome {
  const { stdout } = outcome;
  if (words.includes('--json')) {
    const document: unknown = stdout.startsWith('{') ? JSON.parse(stdout) : undefined;
    if (document !== undefined) expect(faultOf(document), words.join(' ')).toBe(undefined);
  }
  return outcome;
}

/** What a command that succeeds prints as JSON, which is held to its schema. */
export function report(...words: readonly string[]): unknown {
  const { code, stdout, stderr } = run(...words, '--json');
  expect(code, stderr).toBe(0);
  const document: unknown = JSON.parse(stdout);
  expect(faultOf(document)).toBe(undefined);
  return document;
}

/** The report of a conversion that succeeds. */
export function convertReport(...words: readonly string[]): ConvertReport {
  return report('convert', ...words) as ConvertReport;
}

/** Exactly one error line with the code and the words, no stack trace, nothing on stdout. */
export function expectFailure(outcome: Outcome, code: string, words: RegExp, exitCode = 1): void {
  expect(outcome.stderr).toMatch(words);
  expect(outcome.stderr.match(/^error\[/gm)).toHaveLength(1);
  expect(outcome.stderr).toContain(`error[${code}]:`);
  expect(outcome.stderr.trimEnd().split('\n')).toHaveLength(1);
  expect(outcome.stderr).not.toMatch(/^\s+at /m);
  expect(outcome.stdout).toBe('');
  expect(outcome.code).toBe(exitCode);
}

/** A folder that is removed after the tests of the file. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'lowrank-test-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
