import { meanOf } from '../report/student.js';
import type { StudyCell, StudyCondition, StudyDifference, StudyGroup } from '../contracts/study.js';

const conditionKey = ({ architecture, regularizer, rankScale, init }: StudyCondition): string =>
  JSON.stringify([architecture, regularizer, rankScale, init]);

/** Conditions in the order in which they first come, each with the mean of its seeds. */
export function groupsOf(cells: readonly StudyCell[]): readonly StudyGroup[] {
  const groups = new Map<string, StudyCell[]>();
  for (const cell of cells) {
    const members = groups.get(conditionKey(cell));
    if (members === undefined) groups.set(conditionKey(cell), [cell]);
    else members.push(cell);
  }
  return [...groups.values()].map((members): StudyGroup => {
    const { architecture, regularizer, rankScale, init } = members[0]!;
    const count = (status: StudyCell['status']): number => members.filter((cell) => cell.status === status).length;
    const { n, mean, deviation, ci95 } = meanOf(members.flatMap(({ top1 }) => (top1 === null ? [] : [top1])));
    const [diverged, missing] = [count('diverged'), count('failed') + count('pending')];
    return { architecture, regularizer, rankScale, init, n, diverged, missing, mean, deviation, ci95 };
  });
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
  const unique = <T>(values: readonly T[]): readonly T[] => [...new Set(values)];
  return unique(pairs.map(({ architecture }) => architecture)).flatMap((architecture) =>
    unique(pairs.map(({ regularizer }) => regularizer)).flatMap((regularizer) =>
      unique(pairs.map(({ init }) => init)).flatMap((init) => {
        const own = pairs.filter(
          (pair) => pair.architecture === architecture && pair.regularizer === regularizer && pair.init === init,
        );
        return [...unique(own.map(({ rankScale }) => rankScale)), null].map((rankScale): StudyDifference => {
          const chosen = own.filter((pair) => rankScale === null || pair.rankScale === rankScale);
          const values = chosen.flatMap(({ difference }) => (difference === null ? [] : [difference]));
          const { n, mean, deviation, ci95 } = meanOf(values);
          const leftOut = chosen.length - values.length;
          return { architecture, regularizer, rankScale, init, against, n, leftOut, mean, deviation, ci95 };
        });
      }),
    ),
  );
}
