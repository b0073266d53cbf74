import { readFileSync, statSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { oddModels } from '../support/broken.js';
import { exercise } from '../support/exercise.js';
import { mutator, randomOf } from '../support/mutate.js';
import { randomModel } from '../support/random-model.js';
import { hasShared, modelPath, sharedModels } from '../support/shared.js';

const seed = 20_260_707;

/** Mutants of each model: none may hang, crash, or fail with anything but a clear refusal. */
function fuzz(name: string, bytes: Uint8Array, count: number, seed: number, outcomes: Map<string, number>): void {
  const mutate = mutator(bytes);
  for (let i = 0; i < count; i++) {
    const mutant = mutate(randomOf(seed + i));
    const started = performance.now();
    let outcome: string;
    try {
      outcome = exercise(mutant);
    } catch (error) {
      throw new Error(`${name}, seed ${seed + i}, ${mutant.length} bytes`, { cause: error });
    }
    const seconds = (performance.now() - started) / 1000;
    if (seconds > 2) throw new Error(`${name}, seed ${seed + i}: ${seconds} s`);
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  }
}

describe('mutants', () => {
  it('of models of every form are accepted or refused, in bounded time and memory', () => {
    const outcomes = new Map<string, number>();
    const models = [...oddModels.map(({ bytes }) => bytes), ...fc.sample(randomModel, { seed, numRuns: 30 })];
    models.forEach((bytes, i) => {
      fuzz(`model ${i}`, bytes, 40, seed + 1000 * i, outcomes);
    });
    // Mutants that all fail at once would test little.
    expect([...outcomes.keys()].sort()).toEqual(
      expect.arrayContaining(['accepted', 'check: GRAPH', 'read: FORMAT', 'read: GRAPH']),
    );
  });

  it.skipIf(!hasShared)('of real models', () => {
    const outcomes = new Map<string, number>();
    const small = [
      ...sharedModels(),
      'refuse/cifar10-tinycnn-qlinear-op18.onnx',
      'refuse/cifar10-resnet8-qdq-op13.onnx',
    ].filter((name) => statSync(modelPath(name)).size < 120_000);
    expect(small.length).toBeGreaterThan(2);
    const before = process.memoryUsage();
    small.forEach((name, i) => {
      fuzz(name, readFileSync(modelPath(name)), 150, seed + 1000 * i, outcomes);
    });
    const after = process.memoryUsage();
    expect(outcomes.get('accepted')).toBeGreaterThan(10);
    // No mutant makes memory of more than a few times its size; the collector may leave some of it.
    expect(after.heapUsed - before.heapUsed).toBeLessThan(300e6);
    expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(300e6);
  });
});
