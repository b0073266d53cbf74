import { describe, expect, it } from 'vitest';
import { findBestNorm } from '../../../src/factorize/activations/best-norm.js';
import { sigmoidGates } from '../../../src/factorize/activations/gaussian-gate.js';
import { createKernel } from '../../../src/factorize/activations/index.js';
import { type Student, studentAt } from '../../../src/factorize/activations/kernel.js';
import { bruteRisk, bruteSecondMoment, cases, expectation1 } from '../support/expectation.js';

function atAngle(alpha: number, beta: number, theta: number): Student {
  return { beta, difference: beta - alpha, chordSquared: 4 * Math.sin(theta / 2) ** 2 };
}

/** Norms of trained layers run from 1e-3 to 30. */
const points: readonly (readonly [alpha: number, beta: number, theta: number])[] = [
  [1, 1, 1],
  [1.3, 0.7, 0.4],
  [4, 3, 1.3],
  [2, 2.01, 0.02],
  [2, 2, 2.2],
  [0.3, 0.2, 1.5],
  [8, 6, 0.8],
  [30, 20, 0.5],
  [1, 0.5, Math.PI / 2],
  [0.7, 0.9, 3],
  [1.5, 1.5, Math.PI],
  [1, 1.2, 0],
];

describe.each(cases)('$name', ({ activation, kinks }) => {
  const kernel = createKernel(activation);
  const { value } = kernel;

  it('has the second moments of its function', () => {
    for (const scale of [1e-3, 0.1, 1, 3, 30]) {
      const wanted = bruteSecondMoment(value, kinks, scale);
      // The sigmoid's mixture is good to 1e-8; the rule of the test to 1e-12.
      expect(Math.abs(kernel.secondMoment(scale) / wanted - 1), `scale ${scale}`).toBeLessThan(2e-8);
    }
    expect(kernel.secondMoment(0)).toBeCloseTo(value(0) ** 2, 15);
  });

  it('has the loss that two-dimensional quadrature finds', () => {
    for (const [alpha, beta, theta] of points) {
      const wanted = bruteRisk(value, kinks, alpha, beta, theta);
      const got = kernel.teacher(alpha).risk(atAngle(alpha, beta, theta)).value;
      // 2e-8 from the sigmoid's mixture and the test's rule; 1e-6 is the promise.
      expect(Math.abs(got / wanted - 1), `α ${alpha}, β ${beta}, θ ${theta}`).toBeLessThan(3e-8);
    }
  });

  it('keeps its digits as v approaches w', () => {
    // To first order R = E[σ'(a)²d²], d = b − a: the quotient R/ε² is constant up to a term of order ε.
    for (const alpha of [1e-3, 0.5, 2, 8]) {
      const quotient = (epsilon: number): number => {
        const beta = alpha * (1 + 0.3 * epsilon);
        const student = { beta, difference: 0.3 * alpha * epsilon, chordSquared: epsilon * epsilon };
        return kernel.teacher(alpha).risk(student).value / (epsilon * alpha) ** 2;
      };
      const limit = quotient(1e-7);
      expect(limit).toBeGreaterThan(0);
      for (const epsilon of [1e-12, 1e-9, 1e-8, 1e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3]) {
        // The next term is ε (1e-7 in the limit) times moments of σ'σ'', which are below 2α for these functions. β itself
        // is stored to 1e-16, which the rule by squares of differences sees as 1e-16/ε.
        const tolerance = 2e-8 + 2 * (1 + alpha) * (epsilon + 1e-7) + 3e-16 / epsilon;
        expect(Math.abs(quotient(epsilon) / limit - 1), `α ${alpha}, ε ${epsilon}`).toBeLessThan(tolerance);
      }
    }
    expect(kernel.teacher(2).risk({ beta: 2, difference: 0, chordSquared: 0 }).value).toBe(0);
  });

  it('has the derivatives of its loss', () => {
    for (const [alpha, beta, theta] of points) {
      if (theta === 0 || theta > 3) continue;
      const teacher = kernel.teacher(alpha);
      const cosine = Math.cos(theta);
      const risk = (b: number, c: number): number => teacher.risk(studentAt(alpha, b, c)).value;
      const { byNorm, byCosine } = teacher.risk(studentAt(alpha, beta, cosine));
      // Central differences err by h² times a third derivative; near θ = 0 the latter grows like θ⁻³.
      const h = 1e-5 * beta;
      const k = 1e-4 * (1 - Math.abs(cosine));
      const numericNorm = (risk(beta + h, cosine) - risk(beta - h, cosine)) / (2 * h);
      const numericCosine = (risk(beta, cosine + k) - risk(beta, cosine - k)) / (2 * k);
      const size = teacher.risk(studentAt(alpha, beta, cosine)).value;
      expect(Math.abs(byNorm - numericNorm), `∂β at ${alpha}, ${beta}, ${theta}`).toBeLessThan(
        1e-6 * Math.abs(numericNorm) + (1e-10 * size) / h + 1e-12,
      );
      expect(Math.abs(byCosine - numericCosine), `∂ρ at ${alpha}, ${beta}, ${theta}`).toBeLessThan(
        1e-6 * Math.abs(numericCosine) + (1e-10 * size) / k + 1e-12,
      );
    }
  });

  it('is the same to 1e-4 where it is coarse', () => {
    const coarse = createKernel(activation, 'coarse');
    for (const [alpha, beta, theta] of points) {
      const student = atAngle(alpha, beta, theta);
      const [wanted, got] = [kernel.teacher(alpha).risk(student), coarse.teacher(alpha).risk(student)];
      const at = `α ${alpha}, β ${beta}, θ ${theta}`;
      expect(Math.abs(got.value / wanted.value - 1), at).toBeLessThan(1e-4);
      expect(Math.abs(got.byNorm - wanted.byNorm), at).toBeLessThan((1e-4 * wanted.value) / Math.min(alpha, beta, 1));
      expect(Math.abs(got.byCosine - wanted.byCosine), at).toBeLessThan(
        1e-4 * Math.abs(wanted.byCosine) + 1e-8 * wanted.value,
      );
    }
  });

  it('finds the norm that loses least', () => {
    for (const alpha of [0.1, 1, 6]) {
      const teacher = kernel.teacher(alpha);
      for (const cosine of [0.05, 0.3, 0.7, 0.95, 0.999]) {
        const { beta, risk } = findBestNorm(teacher, cosine, cosine * alpha);
        const others = [0.3, 0.6, 0.8, 0.95, 0.99, 1.01, 1.05, 1.25, 2].map(
          (factor) => teacher.risk(studentAt(alpha, factor * beta, cosine)).value,
        );
        // 1e-8 is what the search leaves.
        expect(risk.value, `α ${alpha}, ρ ${cosine}`).toBeLessThanOrEqual(Math.min(...others) * (1 + 2e-8));
        expect(risk.value).toBeLessThanOrEqual(
          teacher.risk(studentAt(alpha, cosine * alpha, cosine)).value * (1 + 1e-12),
        );
      }
    }
  });

  it('is finite at zero and at denormal norms', () => {
    for (const [alpha, beta] of [
      [0, 0],
      [0, 1],
      [1, 0],
      [1e-26, 1e-30],
      [1e-26, 1],
      [2, 1e-26],
    ] as const) {
      const risk = kernel.teacher(alpha).risk({ beta, difference: beta - alpha, chordSquared: 2 });
      for (const number of Object.values(risk)) expect(Number.isFinite(number), `${alpha}, ${beta}`).toBe(true);
      const wanted = expectation1(
        (z) => (value(Math.max(alpha, beta) * z) - value(0)) ** 2,
        [0, ...kinks.map((at) => at / Math.max(alpha, beta, 1e-20))],
      );
      if (Math.min(alpha, beta) === 0) expect(risk.value).toBeCloseTo(wanted, 7);
    }
  });
});

describe('ReLU', () => {
  const kappa = (rho: number): number =>
    1 -
    createKernel({ kind: 'Relu' })
      .teacher(1)
      .risk(studentAt(1, 1, rho)).value;

  it('has the arc-cosine kernel', () => {
    expect(kappa(-1)).toBeCloseTo(0, 14);
    expect(kappa(0)).toBeCloseTo(1 / Math.PI, 14);
    expect(kappa(1)).toBe(1);
    // κ(ρ) = 1/π + ρ/2 + ρ²/(2π) + ρ⁴/(24π) + ρ⁶/(80π) + …: the next term is 5ρ⁸/(896π).
    for (const rho of [-0.3, -0.1, 0.1, 0.2, 0.3]) {
      const series =
        1 / Math.PI + rho / 2 + rho ** 2 / (2 * Math.PI) + rho ** 4 / (24 * Math.PI) + rho ** 6 / (80 * Math.PI);
      expect(Math.abs(kappa(rho) - series)).toBeLessThan(0.0021 * rho ** 8);
    }
  });

  it('scales by κ(ρ)', () => {
    const { beta } = findBestNorm(createKernel({ kind: 'Relu' }).teacher(2), 0.6, 1);
    expect(beta).toBeCloseTo(2 * kappa(0.6), 14);
    expect(findBestNorm(createKernel({ kind: 'Relu' }).teacher(2), 0, 1).beta).toBeCloseTo(2 / Math.PI, 14);
  });
});

describe("the sigmoid's mixture", () => {
  it.each([
    ['fine', 1.9e-9],
    ['coarse', 1.2e-6],
  ] as const)('is the sigmoid in its derivative: %s', (precision, error) => {
    const { widths, weights } = sigmoidGates[precision];
    expect(Math.abs(weights.reduce((sum, weight) => sum + weight, 0) - 1)).toBeLessThan(10 * error);
    for (let x = 0; x < 40; x += 0.01) {
      const derivative = 1 / (4 * Math.cosh(x / 2) ** 2);
      const mixture = widths.reduce(
        (sum, width, j) =>
          sum + (weights[j]! * Math.exp((-x * x) / (2 * width * width))) / (width * Math.sqrt(2 * Math.PI)),
        0,
      );
      expect(Math.abs(mixture - derivative)).toBeLessThan(error);
    }
  });
});
