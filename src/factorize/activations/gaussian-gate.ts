import { angleOf, type Kernel, type Precision, type Risk, type Student } from './kernel.js';
import { nearEqualRisk } from './near-equal.js';

/** Σⱼ weightⱼ·Φ(x/widthⱼ); the weights sum to 1. */
export interface Gate {
  readonly widths: readonly number[];
  readonly weights: readonly number[];
}

/** The gate of the erf form of Gelu: Φ itself. */
export const normalGate: Gate = { widths: [1], weights: [1] };

/**
 * The logistic sigmoid as a mixture of normal distribution functions. The logistic distribution is a normal one whose
 * standard deviation is itself random (Andrews and Mallows, 1974), and a few terms of the mixture do (Monahan and
 * Stefanski, 1992). Fitted to the derivative in the maximum norm: nine terms differ from it by at most 1.9e-9 (7.5e-9 of
 * its maximum), five by 1.2e-6, at a third of the cost.
 */
export const sigmoidGates: Readonly<Record<Precision, Gate>> = {
  fine: {
    widths: [
      0.685674349536, 0.862178858386, 1.069432409953, 1.324938763851, 1.646559642014, 2.052783961147, 2.567318771674,
      3.233441458866, 4.149707517418,
    ],
    weights: [
      0.000994700076, 0.020455116976, 0.10216996408, 0.226652573783, 0.285322483256, 0.225727871374, 0.110408178253,
      0.026578542099, 0.001690570105,
    ],
  },
  coarse: {
    widths: [0.856346498336, 1.179819086358, 1.628508267311, 2.276897024524, 3.23281722667],
    weights: [0.028945847921, 0.237156318808, 0.428226647737, 0.264380346686, 0.041290822405],
  },
};

/**
 * E[σ(a)σ(b)] summed over the pairs of a gate's terms, with its derivatives. Closed forms, because Φ(x/λ) is the
 * probability that x + λξ > 0 with ξ ~ N(0, 1): every term is a moment of (a, b) on a quadrant of the plane of
 * (a + λξ, b + μη), whose covariance is [[A², C], [C, B²]] with A² = α² + λ², B² = β² + μ², C = αβρ.
 */
interface Moment {
  readonly value: number;
  /** ∂/∂C at constant α, β. */
  readonly byCovariance: number;
  /** ∂/∂β² at constant α, C. */
  readonly byVariance: number;
}

type MomentRule = (gate: Gate, alpha: number, beta: number, cos: number, sin: number) => Moment;

/** Both neurons the same: E σ(a)², the pairs (j, k) and (k, j) at once, with its derivative in the common scale. */
type OwnMomentRule = (gate: Gate, scale: number) => { readonly value: number; readonly byScale: number };

/**
 * σ(x) = Σ wⱼ Φ(x/λⱼ) − ½: E[σ(a)σ(b)] = Σⱼₖ wⱼwₖ·asin(C/(AB))/(2π) (Sheppard).
 */
const gateMoment: MomentRule = ({ widths, weights }, alpha, beta, cos, sin) => {
  const c = alpha * beta * cos;
  const square = alpha * beta * sin;
  let value = 0;
  let byCovariance = 0;
  let byVariance = 0;
  for (let j = 0; j < widths.length; j++) {
    const lambda = widths[j]!;
    for (let k = 0; k < widths.length; k++) {
      const mu = widths[k]!;
      // The determinant A²B² − C², term by term positive.
      const determinant = square * square + (alpha * mu) ** 2 + (beta * lambda) ** 2 + (lambda * mu) ** 2;
      const root = Math.sqrt(determinant);
      const weight = weights[j]! * weights[k]!;
      value += weight * Math.atan2(c, root);
      byCovariance += weight / root;
      byVariance -= (weight * c) / (2 * (beta * beta + mu * mu) * root);
    }
  }
  return {
    value: value / (2 * Math.PI),
    byCovariance: byCovariance / (2 * Math.PI),
    byVariance: byVariance / (2 * Math.PI),
  };
};

/**
 * σ(x) = x·Σ wⱼ Φ(x/λⱼ): with Δ = A²B² − C², each pair contributes
 * C(¼ + asin(C/(AB))/(2π)) + (α²β² + C²(1 − α²/A² − β²/B²))/(2π√Δ). λ = μ = 0 is the arc-cosine kernel.
 */
const gatedMoment: MomentRule = ({ widths, weights }, alpha, beta, cos, sin) => {
  const c = alpha * beta * cos;
  const cc = c * c;
  const square = alpha * beta * sin;
  const alpha2 = alpha * alpha;
  const beta2 = beta * beta;
  let value = 0;
  let byCovariance = 0;
  let byVariance = 0;
  for (let j = 0; j < widths.length; j++) {
    const lambda2 = widths[j]! ** 2;
    const a2 = alpha2 + lambda2;
    for (let k = 0; k < widths.length; k++) {
      const mu2 = widths[k]! ** 2;
      const b2 = beta2 + mu2;
      const determinant = square * square + alpha2 * mu2 + beta2 * lambda2 + lambda2 * mu2;
      const root = Math.sqrt(determinant);
      const weight = weights[j]! * weights[k]!;
      const quadrant = Math.PI / 2 + Math.atan2(c, root);
      const rest = (alpha2 * beta2 + cc * (1 - alpha2 / a2 - beta2 / b2)) / root;
      value += weight * (c * quadrant + rest);
      byCovariance += weight * (quadrant + (c / root) * (lambda2 / a2 + mu2 / b2 + (lambda2 * mu2) / determinant));
      byVariance +=
        weight * (-cc / (2 * b2 * root) + (alpha2 - (cc * mu2) / (b2 * b2)) / root - (rest * a2) / (2 * determinant));
    }
  }
  return {
    value: value / (2 * Math.PI),
    byCovariance: byCovariance / (2 * Math.PI),
    byVariance: byVariance / (2 * Math.PI),
  };
};

/** The sum over j of f(λⱼ², λⱼ²) wⱼ² and over k < j of f(λⱼ², λₖ²)·2wⱼwₖ. */
function sumPairs({ widths, weights }: Gate, term: (lambda2: number, mu2: number) => readonly [number, number]) {
  let value = 0;
  let byScale = 0;
  for (let j = 0; j < widths.length; j++) {
    for (let k = 0; k <= j; k++) {
      const weight = (k < j ? 2 : 1) * weights[j]! * weights[k]!;
      const [v, d] = term(widths[j]! ** 2, widths[k]! ** 2);
      value += weight * v;
      byScale += weight * d;
    }
  }
  return { value: value / (2 * Math.PI), byScale: byScale / (2 * Math.PI) };
}

const gateOwnMoment: OwnMomentRule = (gate, scale) => {
  const c = scale * scale;
  return sumPairs(gate, (lambda2, mu2) => {
    const root = Math.sqrt(c * (lambda2 + mu2) + lambda2 * mu2);
    const shrink = 1 - (c / (c + lambda2) + c / (c + mu2)) / 2;
    return [Math.atan2(c, root), (2 * scale * shrink) / root];
  });
};

const gatedOwnMoment: OwnMomentRule = (gate, scale) => {
  const c = scale * scale;
  return sumPairs(gate, (lambda2, mu2) => {
    const [a2, b2] = [c + lambda2, c + mu2];
    const determinant = c * (lambda2 + mu2) + lambda2 * mu2;
    const root = Math.sqrt(determinant);
    const quadrant = Math.PI / 2 + Math.atan2(c, root);
    const rest = (c * c * (2 - c / a2 - c / b2)) / root;
    const byCovariance = quadrant + (c / root) * (lambda2 / a2 + mu2 / b2 + (lambda2 * mu2) / determinant);
    // The mean of ∂/∂α² and ∂/∂β².
    const byVariance =
      ((2 - (c * (1 / a2 + 1 / b2)) / 2 - c * (lambda2 / (a2 * a2) + mu2 / (b2 * b2))) * c) / (2 * root) -
      (rest * (a2 + b2)) / (4 * determinant);
    return [c * quadrant + rest, scale * (4 * byVariance + 2 * byCovariance)];
  });
};

export interface GaussianGateOptions {
  readonly gate: Gate;
  /** 'gate': σ(x) = gain·(gate(slope·x) − ½) + offset. 'gated': σ(x) = x·gate(x). */
  readonly form: 'gate' | 'gated';
  readonly slope?: number;
  readonly gain?: number;
  readonly offset?: number;
  readonly value: (x: number) => number;
  /** σ up to a constant, with digits near 0: what small differences are taken of. Default: `value`. */
  readonly centered?: (x: number) => number;
}

/** Below this R/E σ², differences of the closed form would lose digits. */
const nearEqual = 1e-7;

/** Sigmoid, Tanh (gates), SiLU, Gelu (gated). */
export function gaussianGateKernel(options: GaussianGateOptions): Kernel {
  const { gate, form, slope = 1, gain = 1, offset = 0, value, centered = value } = options;
  const moment: MomentRule = form === 'gate' ? gateMoment : gatedMoment;
  const ownMoment: OwnMomentRule = form === 'gate' ? gateOwnMoment : gatedOwnMoment;
  const gain2 = gain * gain;
  return {
    value,
    secondMoment: (scale) => offset * offset + gain2 * ownMoment(gate, slope * scale).value,
    teacher: (alpha) => {
      const own = gain2 * ownMoment(gate, slope * alpha).value;
      return {
        alpha,
        secondMoment: offset * offset + own,
        risk: (student: Student): Risk => {
          const { beta } = student;
          const { cos, sin } = angleOf(student);
          const other = ownMoment(gate, slope * beta);
          const joint = moment(gate, slope * alpha, slope * beta, cos, sin);
          const sum = own + gain2 * other.value;
          const difference = sum - 2 * gain2 * joint.value;
          const byNorm = 2 * beta * joint.byVariance + alpha * cos * joint.byCovariance;
          return {
            value: difference > nearEqual * sum ? difference : nearEqualRisk(centered, alpha, student),
            byNorm: gain2 * (slope * other.byScale - 2 * slope * slope * byNorm),
            byCosine: -2 * gain2 * slope * slope * alpha * beta * joint.byCovariance,
          };
        },
      };
    },
  };
}
