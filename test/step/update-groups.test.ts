import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Graph } from '../../src/graph/graph.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { layOut } from '../../src/step/flat.js';
import type { UpdateGroup } from '../../src/step/groups.js';
import type { Parameter } from '../../src/step/prepare.js';
import { type OptimizerName, optimizerNames } from '../../src/contracts/train-settings.js';
import { defaultGraphSettings } from '../../src/step/settings.js';
import { buildUpdateGraph } from '../../src/step/update-graph.js';
import { normals } from '../factorize/support/weights.js';
import { failureOf } from '../support/errors.js';

const driver = await loadDriver();
const steps = 3;

function parametersOf(sizes: readonly number[]): readonly Parameter[] {
  const graph = new Graph('parameters');
  return layOut(
    sizes.map((size, at) => ({
      name: `p${at}`,
      shape: [size],
      decay: at % 2 === 0,
      pair: null,
      value: graph.addInput(`p${at}`, { dataType: 1, dims: [size] }),
    })),
  );
}

/** Parameters after a few steps, each with a gradient of its own. */
async function trained(
  parameters: readonly Parameter[],
  groups: readonly UpdateGroup[],
  numbers: (kind: string, parameter: string, size: number) => readonly number[],
): Promise<ReadonlyMap<string, Float32Array>> {
  const graph = buildUpdateGraph({ parameters, pairs: [] }, defaultGraphSettings, groups);
  const session = await driver.createSession(graph.bytes(), { threads: 1 });
  try {
    const { inputs, outputs } = graph.interface;
    const vector = (kind: string): Float32Array =>
      Float32Array.from(parameters.flatMap(({ name, size }) => numbers(kind, name, size)));
    let weights = vector('weights');
    let state = new Float32Array(graph.stateLength);
    for (let step = 1; step <= steps; step++) {
      const run = await session.run({
        [inputs.parameters]: { type: 'float32', dims: [weights.length], data: weights },
        [inputs.gradient]: { type: 'float32', dims: [weights.length], data: vector(`gradient ${step}`) },
        [inputs.state]: { type: 'float32', dims: [state.length], data: state },
        [inputs.learningRate]: { type: 'float32', dims: [], data: Float32Array.of(0.1) },
        [inputs.step]: { type: 'int64', dims: [], data: BigInt64Array.of(BigInt(step)) },
      });
      weights = Float32Array.from(run[outputs.parameters]!.data as Float32Array);
      state = Float32Array.from(run[outputs.state]!.data as Float32Array);
    }
    return new Map(parameters.map(({ name, offset, size }) => [name, weights.slice(offset, offset + size)]));
  } finally {
    await session.close();
  }
}

const group = (rule: OptimizerName, more: Partial<UpdateGroup> = {}): UpdateGroup => ({
  rule,
  settings: defaultGraphSettings,
  rateFactor: 1,
  weightDecay: 0.01,
  clip: null,
  has: () => true,
  ...more,
});

const anyGroup = fc.record({
  rule: fc.constantFrom(...optimizerNames),
  momentum: fc.constantFrom(0, 0.9),
  rateFactor: fc.constantFrom(1, 0.25),
  weightDecay: fc.constantFrom(0, 0.1),
  clip: fc.constantFrom(null, 0.5),
});

describe('groups of parameters', () => {
  it('are each updated as if they were alone', async () => {
    const trial = fc.record({
      groups: fc.array(anyGroup, { minLength: 2, maxLength: 3 }),
      members: fc.array(fc.record({ size: fc.integer({ min: 1, max: 4 }), of: fc.nat(2) }), {
        minLength: 2,
        maxLength: 6,
      }),
      seed: fc.nat(1000),
    });
    await fc.assert(
      fc.asyncProperty(trial, async ({ groups: drawn, members, seed }) => {
        const parameters = parametersOf(members.map(({ size }) => size));
        const groupOf = new Map(parameters.map(({ name }, at) => [name, members[at]!.of % drawn.length]));
        const groups = drawn.map(({ momentum, ...own }, at) =>
          group(own.rule, {
            ...own,
            settings: { ...defaultGraphSettings, momentum },
            has: ({ name }) => groupOf.get(name) === at,
          }),
        );
        const numbers = (kind: string, name: string, size: number): readonly number[] => [
          ...normals(size, seed, `${kind} ${name}`),
        ];
        const together = await trained(parameters, groups, numbers);
        for (const own of groups) {
          const alone = layOut(parameters.filter(own.has));
          if (alone.length === 0) continue;
          const expected = await trained(alone, [{ ...own, has: () => true }], numbers);
          for (const [name, values] of expected) {
            together.get(name)!.forEach((value, at) => expect(value).toBeCloseTo(values[at]!, 6));
          }
        }
      }),
      { numRuns: 15 },
    );
  });

  it('leave no parameter out, and take none twice', async () => {
    const parameters = parametersOf([2, 3]);
    const none = group('sgd', { has: ({ name }) => name === 'p0' });
    await failureOf('INTERNAL', () => buildUpdateGraph({ parameters, pairs: [] }, defaultGraphSettings, [none]));
    await failureOf('INTERNAL', () =>
      buildUpdateGraph({ parameters, pairs: [] }, defaultGraphSettings, [none, group('adam')]),
    );
  });
});
