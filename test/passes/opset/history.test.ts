import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import * as families from '../../../src/passes/opset/index.js';
import { changeBetween } from '../../../src/passes/opset/registry.js';
import { newestOpset } from '../../../src/passes/opset/rule.js';
import { allOperators } from '../../ops/support/operators.js';

/**
 * All versions of all ai.onnx operators up to opset 23, from `onnx.defs.get_all_schemas_with_history()` of the Python
 * package onnx 1.23.2.
 */
const schemas = JSON.parse(
  readFileSync(fileURLToPath(new URL('schema-versions.json', import.meta.url)), 'utf8'),
) as Record<string, number[]>;

const allRules = Object.values(families).flat();

describe('the histories of operators', () => {
  it('say of every version of every operator what it asks', () => {
    const versions = allRules.map(({ opType, since, steps }) => [opType, [since, ...Object.keys(steps).map(Number)]]);
    expect(Object.fromEntries(versions)).toEqual(schemas);
    expect(Math.max(...Object.values(schemas).flat())).toBe(newestOpset);
  });

  it('tell every operator once', () => {
    const names = allRules.map(({ opType }) => opType);
    expect(new Set(names).size).toBe(names.length);
  });

  it('cover every operator that has a shape rule', () => {
    // SimplifiedLayerNormalization is onnxruntime's own, though it stands in ai.onnx; Swish came with opset 24.
    const foreign = new Set(['SimplifiedLayerNormalization', 'Swish']);
    const known = new Set(allRules.map(({ opType }) => opType));
    const missing = allOperators.filter(({ domain, opType }) => domain === '' && !known.has(opType));
    expect(missing.filter(({ opType }) => !foreign.has(opType)).map(({ opType }) => opType)).toEqual([]);
  });

  it('stand in files that the index lists', () => {
    const folder = fileURLToPath(new URL('../../../src/passes/opset/', import.meta.url));
    const engine = new Set(['attributes.ts', 'index.ts', 'registry.ts', 'rule.ts']);
    const files = readdirSync(folder).filter((file) => !engine.has(file));
    const index = readFileSync(`${folder}index.ts`, 'utf8');
    const listed = [...index.matchAll(/'\.\/(.*)\.js'/g)].map(([, name]) => `${name}.ts`);
    expect(listed.sort()).toEqual(files.sort());
  });

  it('tell what changes between two opsets', () => {
    expect(changeBetween('Conv', 7, 17)).toBeUndefined();
    expect(changeBetween('Clip', 7, 10)).toBeUndefined();
    expect(changeBetween('Clip', 7, 11)).toBe('it changed in opset 11');
    expect(changeBetween('Gelu', 7, 17)).toBe('opset 7 does not have it, it came with 20');
    expect(changeBetween('ATen', 7, 17)).toBe('what changed in it from opset 7 to 17 is not known');
  });
});
