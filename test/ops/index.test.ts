import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import * as index from '../../src/ops/index.js';
import type { Operator } from '../../src/ops/operator.js';

const folder = fileURLToPath(new URL('../../src/ops/', import.meta.url));
/** Files of the folder that are no operators. */
const engine = new Set([
  ...['autocast.ts', 'bind-inputs.ts', 'constant-name.ts', 'element-wise.ts', 'emitter.ts', 'gradient.ts'],
  ...['index.ts', 'infer.ts', 'memory.ts', 'operator.ts', 'precision.ts', 'registry.ts', 'resolve-weight.ts'],
  ...['training.ts', 'weight-inputs.ts'],
]);
const files = readdirSync(folder).filter((file) => file.endsWith('.ts') && !engine.has(file));

/** "QLinearConv" → "q-linear-conv", "LRN" → "lrn", "com.microsoft.Gelu" → "microsoft-gelu", "com.microsoft.nchwc.Conv" → "microsoft-nchwc-conv". */
function fileOf({ domain, opType }: Operator): string {
  const words = opType.replaceAll(/([A-Z]+)([A-Z][a-z])/g, '$1-$2').replaceAll(/([a-z0-9])([A-Z])/g, '$1-$2');
  const prefix = domain.replace('com.', '').replaceAll('.', '-');
  return `${prefix === '' ? '' : `${prefix}-`}${words.toLowerCase()}.ts`;
}

describe('the operator index', () => {
  it('holds every operator file, and nothing else', () => {
    expect(Object.values(index).map(fileOf).sort()).toEqual(files.toSorted());
  });

  it('names each operator once', () => {
    const names = Object.values(index).map(({ domain, opType }) => `${domain}:${opType}`);
    expect(new Set(names).size).toBe(names.length);
  });

  it('is not named by the engine: no rule of an operator outside its file', () => {
    const engineFiles = ['infer.ts', 'registry.ts', 'bind-inputs.ts', 'operator.ts', 'gradient.ts', 'training.ts'];
    const names = Object.values(index).map(({ opType }) => opType);
    for (const file of engineFiles) {
      const code = readFileSync(folder + file, 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
      expect(names.filter((name) => code.includes(`'${name}'`))).toEqual([]);
    }
  });
});
