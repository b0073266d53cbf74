import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { faultOf, schemaNames } from '../support/schemas.js';

// Every document that a test has the program print is held to its schema: see `run` of test/support/command.ts.
describe('the published schemas', () => {
  it('are what the types say', () => {
    const { status, stderr } = spawnSync(process.execPath, ['scripts/schemas.js', '--check'], { encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });

  it('are of every document that docs/json.md gives a type', () => {
    const rows = readFileSync('docs/json.md', 'utf8').matchAll(/^\|.*`(lowrank\.[a-z-]+\/1)`.*\| `[A-Za-z]+` \|$/gm);
    const documented = [...rows].map(([, name]) => name!);
    expect(new Set(schemaNames())).toEqual(new Set(documented));
  });

  it('find what is missing, and what is of another type', () => {
    const document = {
      schema: 'lowrank.error/1',
      tool: { name: 'lowrank', version: '0.1.0' },
      error: { code: 'INPUT', message: 'm', fact: 'f', place: null, remedy: null },
      exitCode: 1,
    };
    expect(faultOf(document)).toBe(undefined);
    expect(faultOf({ ...document, exitCode: 'one' })).toMatch(/exitCode must be number/);
    const { error: _, ...others } = document;
    expect(faultOf(others)).toMatch(/required property 'error'/);
  });
});
