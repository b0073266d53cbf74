import { meanOf } from '../report/student.js';
import type { Closeness } from '../contracts/recover.js';
import type {
  StudyCell,
  StudyCondition,
  StudyDifference,
  StudyGroup,
  StudyTreatment,
  StudyTreatmentDifference,
} from '../contracts/study.js';

const conditionKey = ({ architecture, treatment, regularizer, rankScale, init }: StudyCondition): string =>
  JSON.stringify([architecture, treatment, regularizer, rankScale, init]);

const unique = <T>(values: readonly T[]): readonly T[] => [...new Set(values)];

/** The treatment of a condition, where its study has several. */
const treated = (treatment: StudyTreatment | undefined): Pick<StudyCondition, 'treatment'> =>
  treatment === undefined ? {} : { treatment };

/** Conditions in the order in which they first come, each with the mean of its seeds. */
export function groupsOf(cells: readonly StudyCell[]): readonly StudyGroup[] {
  const groups = new Map<string, StudyCell[]>();
  for (const cell of cells) {
    const members = groups.get(conditionKey(cell));
    if (members === undefined) groups.set(conditionKey(cell), [cell]);
    else members.push(cell);
  }
  return [...groups.values()].map(groupOf);
}

function groupOf(members: readonly StudyCell[]): StudyGroup {
  const { architecture, regularizer, rankScale, init } = members[0]!;
  const condition = { architecture, ...treated(members[0]!.treatment), regularizer, rankScale, init };
  const count = (status: StudyCell['status']): number => members.filter((cell) => cell.status === status).length;
  const { n, mean, deviation, ci95 } = meanOf(members.flatMap(({ top1 }) => (top1 === null ? [] : [top1])));
  const [diverged, missing] = [count('diverged'), count('failed') + count('pending')];
  return { ...condition, n, diverged, missing, mean, deviation, ci95, ...recoveryOf(members) };
}

/** Means of how close the finished cells were before and behind their recovery. */
function recoveryOf(cells: readonly StudyCell[]): Pick<StudyGroup, 'recovery'> {
  const done = cells.flatMap(({ recovery, status }) =>
    recovery === undefined || status !== 'finished' ? [] : [recovery],
  );
  if (done.length === 0) return {};
  const meanOfAll = (values: readonly Closeness[]): Closeness => ({
    loss: meanOf(values.map(({ loss }) => loss)).mean!,
    agreement: meanOf(values.flatMap(({ agreement }) => (agreement === null ? [] : [agreement]))).mean,
  });
  return {
    recovery: {
      start: meanOfAll(done.map(({ start }) => start)),
      written: meanOfAll(done.map(({ written }) => written)),
    },
  };
}

/** Every treatment against one of them: pairs of the same start and seed, over all rank scales and initializations. */
export function treatmentDifferencesOf(
  cells: readonly StudyCell[],
  against: StudyTreatment,
): readonly StudyTreatmentDifference[] {
  const top1 = new Map(cells.map((cell) => [JSON.stringify([conditionKey(cell), cell.seed]), cell.top1]));
  const low = cells.filter(({ init }) => init !== null);
  return unique(low.map(({ architecture }) => architecture)).flatMap((architecture) =>
    unique(low.map(({ regularizer }) => regularizer)).flatMap((regularizer) =>
      unique(low.flatMap(({ treatment }) => (treatment === undefined || treatment === against ? [] : [treatment]))).map(
        (treatment): StudyTreatmentDifference => {
          const own = low.filter(
            (cell) =>
              cell.architecture === architecture && cell.regularizer === regularizer && cell.treatment === treatment,
          );
          const values = own.flatMap((cell) => {
            const other = top1.get(JSON.stringify([conditionKey({ ...cell, treatment: against }), cell.seed]));
            return cell.top1 === null || other === null || other === undefined ? [] : [cell.top1 - other];
          });
          const { n, mean, deviation, ci95 } = meanOf(values);
          const leftOut = own.length - values.length;
          return { architecture, regularizer, treatment, against, n, leftOut, mean, deviation, ci95 };
        },
      ),
    ),
  );
}

/** Every initialization against one of them: at each rank scale, and at all of them together. */
export function differencesOf(cells: readonly StudyCell[], against: string): readonly StudyDifference[] {
  const top1 = new Map(cells.map((cell) => [JSON.stringify([conditionKey(cell), cell.seed]), cell.top1]));
  const pairs = cells.flatMap((cell) => {
    if (cell.init === null || cell.init === against) return [];
    const other = top1.get(JSON.stringify([conditionKey({ ...cell, init: against }), cell.seed]));
    const difference = cell.top1 === null || other === null || other === undefined ? null : cell.top1 - other;
    return [{ ...cell, init: cell.init, difference }];
  });
  return unique(pairs.map(({ architecture }) => architecture)).flatMap((architecture) =>
    unique(pairs.map(({ treatment }) => treatment)).flatMap((treatment) =>
      unique(pairs.map(({ regularizer }) => regularizer)).flatMap((regularizer) =>
        unique(pairs.map(({ init }) => init)).flatMap((init) => {
          const own = pairs.filter(
            (pair) =>
              pair.architecture === architecture &&
              pair.treatment === treatment &&
              pair.regularizer === regularizer &&
              pair.init === init,
          );
          const condition = { architecture, ...treated(treatment), regularizer, init, against };
          return [...unique(own.map(({ rankScale }) => rankScale)), null].map((rankScale) =>
            differenceAt(condition, own, rankScale),
          );
        }),
      ),
    ),
  );
}

/** The mean of the pairs at a rank scale; null: at all of them. */
function differenceAt(
  condition: Pick<StudyDifference, 'architecture' | 'treatment' | 'regularizer' | 'init' | 'against'>,
  pairs: readonly { readonly rankScale: number | null; readonly difference: number | null }[],
  rankScale: number | null,
): StudyDifference {
  const chosen = pairs.filter((pair) => rankScale === null || pair.rankScale === rankScale);
  const values = chosen.flatMap(({ difference }) => (difference === null ? [] : [difference]));
  const { n, mean, deviation, ci95 } = meanOf(values);
  const { architecture, treatment, regularizer, init, against } = condition;
  const at = { architecture, ...treated(treatment), regularizer, rankScale, init };
  return { ...at, against, n, leftOut: chosen.length - values.length, mean, deviation, ci95 };
}
