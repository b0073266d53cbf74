import type { Candidate } from './candidates.js';
import { evbmf } from './evbmf.js';
import { type MatrixShape, matrixShape } from '../rewrite/geometry.js';
import { choose, factorMacsOf, refusal } from './plan-choice.js';
import type { Plan, PlanContext, Trial } from './plan-types.js';
import type { RankMode } from './settings.js';
import { spectra, stableRank, tailEnergies } from './spectra.js';

/** A rank of a matrix from its squared singular values, largest first, and how it came about. */
interface Finding {
  readonly rank: number;
  readonly note: string;
}

type FindRank = (squares: Float64Array, shape: MatrixShape) => Finding;

/** The smallest rank that keeps `fraction` of ‖W‖²_F. */
export function planByEnergy(
  candidates: readonly Candidate[],
  { fraction }: Extract<RankMode, { kind: 'energy' }>,
  context: PlanContext,
): Promise<Plan[]> {
  return planBySpectrum(candidates, context, (squares) => ({
    rank: tailEnergies(squares).findIndex((lost) => lost <= 1 - fraction + 1e-12),
    note: `energy ${fraction}`,
  }));
}

/** The rank that empirical variational Bayes takes for signal (see evbmf.ts). */
export function planByVbmf(
  candidates: readonly Candidate[],
  { floor }: Extract<RankMode, { kind: 'vbmf' }>,
  context: PlanContext,
): Promise<Plan[]> {
  return planBySpectrum(candidates, context, (squares, { rows, cols }) => {
    const { rank } = evbmf(squares, rows, cols);
    return atLeast(floor, squares.length, rank, `VBMF rank ${rank}`);
  });
}

/** `factor` times ‖W‖²_F / ‖W‖²₂, rounded. */
export function planByStableRank(
  candidates: readonly Candidate[],
  { factor, floor }: Extract<RankMode, { kind: 'stable-rank' }>,
  context: PlanContext,
): Promise<Plan[]> {
  return planBySpectrum(candidates, context, (squares) => {
    const stable = stableRank(squares);
    const times = factor === 1 ? '' : `${factor} · `;
    return atLeast(floor, squares.length, Math.round(factor * stable), `${times}stable rank ${stable.toFixed(2)}`);
  });
}

function atLeast(floor: number, full: number, rank: number, note: string): Finding {
  const least = Math.round(floor * full);
  return rank >= least ? { rank, note } : { rank: least, note: `${note}, below the floor of ${floor} · ${full}` };
}

/** Rounded up to multiples: less than was asked for would be a broken promise. */
async function planBySpectrum(
  candidates: readonly Candidate[],
  context: PlanContext,
  findRank: FindRank,
): Promise<Plan[]> {
  const all = await spectra(candidates, context);
  const multiple = context.settings.rankMultiple;
  return candidates.map((candidate): Plan => {
    const found = [...all.get(candidate)!].map(([scheme, squares]) => {
      const { rank, note } = findRank(squares, matrixShape(candidate.layer.geometry, scheme));
      const rounded = Math.min(squares.length, Math.ceil(Math.max(1, rank) / multiple) * multiple);
      const trial: Trial = { scheme, rank: rounded };
      const isRefused = refusal(candidate, trial, context.settings) !== undefined;
      return { trial, note, isRefused, macs: factorMacsOf(candidate, trial) };
    });
    // Both schemes keep what was asked for; of those that are a gain, the one with fewer MACs is the better.
    found.sort((a, b) => Number(a.isRefused) - Number(b.isRefused) || a.macs - b.macs);
    const { trial, note } = found[0]!;
    return choose(candidate, [trial], context.settings, note);
  });
}
