import { int } from '../../graph/attributes.js';
import type { Value } from '../../graph/value.js';
import { FLOAT, INT64 } from '../../onnx/data-type.js';
import type { Emitter } from '../../ops/emitter.js';
import type { LossName } from '../../contracts/train-settings.js';
import { losses } from '../losses/index.js';
import type { LossTarget } from '../losses/loss.js';
import type { PreparedModel } from '../prepare-model.js';
import type { Goal } from './goal.js';

/** Logits of both models, [N, classes], maybe with axes of 1, and how they become probabilities. */
export interface MatchedClasses {
  readonly student: Value;
  readonly teacher: Value;
  readonly classes: number;
  readonly loss: LossName;
  /** What logits are divided by before they are compared. */
  readonly temperature: number;
  /** Of the divergence in the loss; 0: not compared. */
  readonly weight: number;
  /** Of the loss of the labels; 0: there are none. */
  readonly labelWeight: number;
}

/** A value of both models, of one shape. */
export interface MatchPoint {
  readonly name: string;
  /** With the batch, in whatever place it is. */
  readonly dims: readonly number[];
  readonly student: Value;
  readonly teacher: Value;
  /** Of its relative squared error in the loss. */
  readonly weight: number;
}

export interface Matching {
  /** Runs on what the model sees; undefined: what it makes of the images is fed (`taughtInputs`). */
  readonly teacher: Pick<PreparedModel, 'model' | 'images' | 'shapesFor'> | undefined;
  readonly classes: MatchedClasses | undefined;
  readonly points: readonly MatchPoint[];
}

/** What is fed of a teacher that does not run: its logits, then its values at the points; in the order of the model's axes. */
export function taughtInputs({ classes, points }: Pick<Matching, 'classes' | 'points'>): readonly LossTarget[] {
  const type = 'float32';
  return [
    ...(classes === undefined ? [] : [{ name: 'taught.logits', type, dims: [classes.classes] } as const]),
    ...points.map(({ dims }, i) => ({ name: `taught.${i}`, type, dims: dims.slice(1) }) as const),
  ];
}

/** What is added to a variance, so that a constant divides by something. */
const tiny = 1e-12;

/**
 * Makes a model's values those of another, the teacher:
 *
 *     w T² KL(softmax(t / T) ‖ softmax(s / T)) + Σ w_p mean((s_p − t_p)²) / var(t_p) + w_l loss(s, labels)
 *
 * with logits t of the teacher and s of the model, the mean over the batch of the divergence (Hinton, Vinyals, Dean, arXiv
 * 1503.02531, section 2), and for classes one by one the sum of the divergences of their Bernoulli distributions; mean and
 * variance of a point are over all elements of the batch. Nothing flows into the teacher.
 */
export function matchGoal(matching: Matching): Goal {
  const { teacher, classes, points } = matching;
  const ofStudent = points.map(({ student }) => student);
  const logitsOf = (side: 'student' | 'teacher'): readonly Value[] => (classes === undefined ? [] : [classes[side]]);
  const heads = logitsOf('student');
  const labels =
    classes === undefined || classes.labelWeight === 0 ? [] : losses[classes.loss].targets(classes.classes);
  const fed = teacher === undefined ? taughtInputs(matching) : [];
  return {
    classes: classes?.classes ?? null,
    // What is fed has the model's order of elements.
    outputs: teacher === undefined ? [...heads, ...ofStudent] : heads,
    points: teacher === undefined ? [] : ofStudent,
    targets: [...labels, ...fed],
    emit: ({ e, outputs, points: computed, targets, smoothing, run }) => {
      const seen = teacher === undefined ? outputs.slice(heads.length) : computed;
      const given = fed.map(({ name }) => targets[name]!);
      const taught =
        teacher === undefined
          ? { outputs: given.slice(0, heads.length), points: given.slice(heads.length) }
          : run(teacher, { outputs: logitsOf('teacher'), points: points.map((point) => point.teacher) });
      const parts: Value[] = [];
      const logits =
        classes === undefined
          ? undefined
          : e.emit('Reshape', [e.cast(outputs[0]!, FLOAT), e.ints([0, classes.classes])], {}, { name: 'logits' });
      const ofClasses: (() => Value)[] = [];
      let correct: Value | undefined;
      if (classes !== undefined && logits !== undefined) {
        const wanted = e.emit('Reshape', [e.cast(taught.outputs[0]!, FLOAT), e.ints([0, classes.classes])]);
        correct = agreement(e, logits, wanted);
        if (classes.weight > 0) {
          const { loss, gradient } = divergence(e, classes, logits, wanted);
          parts.push(e.scale(loss, classes.weight));
          ofClasses.push(() => e.scale(gradient(), classes.weight));
        }
        if (classes.labelWeight > 0) {
          const labelled = losses[classes.loss].emit({ e, tensors: { logits }, targets, smoothing });
          parts.push(e.scale(labelled.loss, classes.labelWeight));
          ofClasses.push(() => e.scale(labelled.gradients().logits, classes.labelWeight));
        }
      }
      const ofPoints = points.map(({ weight }, i) => {
        const { loss, gradient } = relativeError(e, e.cast(seen[i]!, FLOAT), e.cast(taught.points[i]!, FLOAT), weight);
        parts.push(loss);
        return gradient;
      });
      const sum = parts.reduce((total, part) => e.add(total, part));
      const loss = e.emit('Identity', [sum], {}, { name: 'loss' });
      return {
        loss,
        correct: correct ?? e.emit('Cast', [e.scale(loss, 0)], { to: int(INT64) }, { name: 'correct' }),
        main: logits ?? seen[0]!,
        gradients: () => {
          const [first, ...more] = ofClasses.map((gradient) => gradient());
          const ofHeads = heads.map(() =>
            first === undefined ? undefined : more.reduce((a, b) => e.add(a, b), first),
          );
          const others = ofPoints.map((gradient) => gradient());
          return teacher === undefined
            ? { outputs: [...ofHeads, ...others], points: [] }
            : { outputs: ofHeads, points: others };
        },
      };
    },
  };
}

interface Term {
  /** A scalar. */
  readonly loss: Value;
  gradient(): Value;
}

/** How many images have the same largest logit in both. */
function agreement(e: Emitter, student: Value, teacher: Value): Value {
  const [a, b] = [student, teacher].map((logits) => e.emit('ArgMax', [logits], { axis: int(1), keepdims: int(0) }));
  const same = e.emit('Cast', [e.emit('Equal', [a!, b!])], { to: int(INT64) });
  return e.emit('ReduceSum', [same], { keepdims: int(0) }, { name: 'correct' });
}

function divergence(e: Emitter, { loss, temperature }: MatchedClasses, student: Value, teacher: Value): Term {
  const [s, t] = [student, teacher].map((logits) => e.scale(logits, 1 / temperature));
  return losses[loss].classes === 'one'
    ? softmaxDivergence(e, s!, t!, temperature)
    : sigmoidDivergence(e, s!, t!, temperature);
}

/** T² Σ p (log p − log q), the mean over the batch; its gradient by the undivided logits is T (q − p) / N. */
function softmaxDivergence(e: Emitter, s: Value, t: Value, temperature: number): Term {
  const [logQ, logP] = [s, t].map((logits) => e.emit('LogSoftmax', [logits], { axis: int(1) }));
  const p = e.emit('Exp', [logP!]);
  const each = e.reduceSum(e.mul(p, e.sub(logP!, logQ!)), [1], false);
  return {
    loss: e.scale(e.reduceMean(each, undefined, false), temperature ** 2),
    gradient: () => e.div(e.scale(e.sub(e.emit('Exp', [logQ!]), p), temperature), e.count(s, [0])),
  };
}

/** The same of K Bernoulli distributions: p (t − s) + log(1 + eˢ) − log(1 + eᵗ) each. */
function sigmoidDivergence(e: Emitter, s: Value, t: Value, temperature: number): Term {
  const p = e.emit('Sigmoid', [t]);
  const terms = e.add(e.mul(p, e.sub(t, s)), e.sub(e.emit('Softplus', [s]), e.emit('Softplus', [t])));
  return {
    loss: e.scale(e.reduceMean(e.reduceSum(terms, [1], false), undefined, false), temperature ** 2),
    gradient: () => e.div(e.scale(e.sub(e.emit('Sigmoid', [s]), p), temperature), e.count(s, [0])),
  };
}

/** w mean((s − t)²) / var(t). */
function relativeError(e: Emitter, s: Value, t: Value, weight: number): Term {
  const difference = e.sub(s, t);
  const mean = (value: Value): Value => e.reduceMean(value, undefined, false);
  const average = mean(t);
  const variance = e.sub(mean(e.mul(t, t)), e.mul(average, average));
  const scale = e.div(e.scalar(weight), e.add(e.emit('Relu', [variance]), e.scalar(tiny)));
  return {
    loss: e.mul(mean(e.mul(difference, difference)), scale),
    gradient: () => e.mul(difference, e.div(e.scale(scale, 2), e.cast(e.count(s), FLOAT))),
  };
}
