import type { UpdateInterface } from '../contracts/artifacts.js';
import { int } from '../graph/attributes.js';
import type { Value } from '../graph/value.js';
import { FLOAT, INT64 } from '../onnx/data-type.js';
import type { Emitter } from '../ops/emitter.js';
import { addInput, addOutput, emitted, type EmittedGraph, startGraph } from './emitted.js';
import { lengthOf } from './flat.js';
import { membersOf, oneGroup, type Run, runsOf, type UpdateGroup } from './groups.js';
import { frobeniusGradients, mapFromLast } from './pairs.js';
import { type Parameter, type Prepared, trainingOpset } from './prepare.js';
import { updateRules } from './rules/index.js';
import { called, type RuleContext } from './rules/rule.js';
import type { GraphSettings } from './settings.js';

export interface UpdateGraph extends EmittedGraph {
  readonly interface: UpdateInterface;
  /** Elements of the optimizer's state, which starts as zeros. */
  readonly stateLength: number;
}

/**
 * Emits the update graph: parameters [P], gradient [P] of the loss, state, learningRate (float32 scalar) and step (int64
 * scalar, from 1) → parameters′, state′, gradientNorm (float32 scalar, of the gradient as it comes).
 * In order: clipping by the norm of each group's gradient (times min(1, clip / (norm + 1e-6))), Frobenius decay of pairs,
 * weight decay, the step of the group's rule. The state is that of one group behind the other. Default: one group of all.
 */
export function buildUpdateGraph(
  prepared: Pick<Prepared, 'parameters' | 'pairs'>,
  settings: GraphSettings,
  groups: readonly UpdateGroup[] = [oneGroup(settings)],
): UpdateGraph {
  const { parameters } = prepared;
  const { model, e } = startGraph('update', new Map([['', trainingOpset]]), false);
  const length = lengthOf(parameters);
  const members = membersOf(parameters, groups);
  const stateLengths = groups.map(({ rule, settings: own }, at) => {
    return updateRules[rule].buffers(own).length * lengthOf(members[at]!);
  });
  const stateLength = stateLengths.reduce((sum, each) => sum + each, 0);
  const weights = addInput(e, 'parameters', FLOAT, [length]);
  const loss = addInput(e, 'gradient', FLOAT, [length]);
  const state = addInput(e, 'state', FLOAT, [stateLength]);
  const learningRate = addInput(e, 'learningRate', FLOAT, []);
  const step = addInput(e, 'step', INT64, []);

  const norm = normOf(e, loss, 'gradientNorm');
  const decay = (): Value | undefined =>
    settings.frobeniusDecay > 0 && prepared.pairs.length > 0
      ? frobenius(e, prepared, weights, settings.frobeniusDecay)
      : undefined;
  const result =
    groups.length === 1
      ? updateGroup(e, groups[0]!, parameters, {
          ...{ weights, loss, norm, decay, state, learningRate, step },
          names: { weights: 'parameters_out', state: 'state_out' },
        })
      : updateGroups(e, groups, members, { weights, loss, decay: decay(), state, stateLengths, learningRate, step });
  const outputs = [result.weights, result.state, norm];
  for (const value of outputs) addOutput(e, value);
  return {
    ...emitted(model),
    stateLength,
    interface: {
      inputs: {
        parameters: weights.name,
        gradient: loss.name,
        state: state.name,
        learningRate: learningRate.name,
        step: step.name,
      },
      outputs: { parameters: result.weights.name, state: result.state.name, gradientNorm: norm.name },
    },
  };
}

interface GroupInputs extends Pick<RuleContext, 'weights' | 'state' | 'learningRate' | 'step' | 'names'> {
  /** The gradient of the loss. */
  readonly loss: Value;
  readonly norm: Value | undefined;
  /** Emits the gradient of Frobenius decay. */
  readonly decay: () => Value | undefined;
}

/** The vectors of one group, one step on. */
function updateGroup(
  e: Emitter,
  { rule, settings, clip, weightDecay, rateFactor }: UpdateGroup,
  members: readonly Parameter[],
  { weights, loss, norm, decay, state, learningRate, step, names }: GroupInputs,
): { readonly weights: Value; readonly state: Value } {
  let gradient = loss;
  if (clip !== null) {
    const ratio = e.div(e.scalar(clip), e.add(norm ?? normOf(e, loss), e.scalar(1e-6)));
    gradient = e.mul(gradient, e.emit('Min', [ratio, e.scalar(1)]));
  }
  const decayed = decay();
  if (decayed !== undefined) gradient = e.add(gradient, decayed);
  const mask = decayMask(e, members, weightDecay);
  return updateRules[rule].emit({
    ...{ e, settings, weights, gradient, state, step, mask, names },
    learningRate: rateFactor === 1 ? learningRate : e.scale(learningRate, rateFactor),
    length: lengthOf(members),
  });
}

interface AllInputs extends Pick<GroupInputs, 'weights' | 'loss' | 'state' | 'learningRate' | 'step'> {
  readonly decay: Value | undefined;
  readonly stateLengths: readonly number[];
}

/** Each group gathered from the flat vectors, updated and put back. */
function updateGroups(
  e: Emitter,
  groups: readonly UpdateGroup[],
  members: readonly (readonly Parameter[])[],
  { weights, loss, decay, state, stateLengths, learningRate, step }: AllInputs,
): { readonly weights: Value; readonly state: Value } {
  const cut = (flat: Value, { offset, size }: Run): Value => e.slice(flat, [offset], [offset + size], [0]);
  const together = (parts: readonly Value[]): Value => (parts.length === 1 ? parts[0]! : e.concat(parts, 0));
  const placed: { readonly offset: number; readonly value: Value }[] = [];
  const states: Value[] = [];
  let stateOffset = 0;
  for (const [at, group] of groups.entries()) {
    const own = members[at]!;
    if (own.length === 0) continue;
    const runs = runsOf(own);
    const gathered = (flat: Value): Value => together(runs.map((run) => cut(flat, run)));
    const size = stateLengths[at]!;
    const moved = updateGroup(e, group, own, {
      ...{ learningRate, step, norm: undefined, names: {} },
      weights: gathered(weights),
      loss: gathered(loss),
      decay: () => (decay === undefined ? undefined : gathered(decay)),
      state: cut(state, { offset: stateOffset, size }),
    });
    stateOffset += size;
    if (size > 0) states.push(moved.state);
    let start = 0;
    for (const run of runs) {
      placed.push({ offset: run.offset, value: cut(moved.weights, { offset: start, size: run.size }) });
      start += run.size;
    }
  }
  const inOrder = placed.toSorted((a, b) => a.offset - b.offset).map(({ value }) => value);
  return {
    weights: e.emit('Concat', inOrder, { axis: int(0) }, { name: 'parameters_out' }),
    state:
      states.length === 0
        ? e.emit('Identity', [state], {}, { name: 'state_out' })
        : e.emit('Concat', states, { axis: int(0) }, { name: 'state_out' }),
  };
}

function normOf(e: Emitter, gradient: Value, name?: string): Value {
  const squares = e.emit('ReduceSum', [e.mul(gradient, gradient)], { keepdims: int(0) });
  return e.emit('Sqrt', [squares], {}, called(name));
}

/** weightDecay where a parameter is decayed, else 0, [P]; undefined where nothing is. Written as runs of equal numbers. */
function decayMask(e: Emitter, parameters: readonly Parameter[], weightDecay: number): Value | undefined {
  if (weightDecay === 0 || !parameters.some(({ decay }) => decay)) return undefined;
  const runs: { decay: boolean; size: number }[] = [];
  for (const { decay, size } of parameters) {
    const last = runs.at(-1);
    if (last?.decay === decay) last.size += size;
    else runs.push({ decay, size });
  }
  if (runs.length === 1) return e.scalar(weightDecay);
  const parts = runs.map(({ decay, size }) => e.emit('Expand', [e.floats([decay ? weightDecay : 0]), e.ints([size])]));
  return e.concat(parts, 0);
}

/** λ ∂(½‖product‖²)/∂factor for every pair, 0 elsewhere, [P]. */
function frobenius(
  e: Emitter,
  { parameters, pairs }: Pick<Prepared, 'parameters' | 'pairs'>,
  weights: Value,
  lambda: number,
): Value {
  const tensors = new Map<Value, Value>();
  const slotOf = (value: Value): Parameter => parameters.find((parameter) => parameter.value === value)!;
  const weightOf = (value: Value): Value => {
    const { offset, size, shape } = slotOf(value);
    return e.reshape(e.slice(weights, [offset], [offset + size], [0]), shape);
  };
  for (const pair of pairs) {
    const factors = mapFromLast(pair.factors, ({ value }) => weightOf(value));
    const gradients = frobeniusGradients(e, pair, factors, lambda);
    mapFromLast(gradients, (gradient) => e.reshape(gradient, [-1])).forEach((gradient, at) => {
      tensors.set(pair.factors[at]!.value, gradient);
    });
  }
  const parts: Value[] = [];
  let zeros = 0;
  const flush = (): void => {
    if (zeros > 0) parts.push(e.emit('Expand', [e.floats([0]), e.ints([zeros])]));
    zeros = 0;
  };
  for (const { value, size } of parameters) {
    const part = tensors.get(value);
    if (part === undefined) {
      zeros += size;
      continue;
    }
    flush();
    parts.push(part);
  }
  flush();
  return e.concat(parts, 0);
}
