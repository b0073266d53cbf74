import { describe, it } from 'vitest';
import { string } from '../../src/graph/attributes.js';
import { checkGradient } from './support/check-gradient.js';

describe('gradient of Einsum', () => {
  it.each<[string, number[][]]>([
    [
      'ij,jk->ik',
      [
        [2, 3],
        [3, 4],
      ],
    ],
    [
      'bhid,bhjd->bhij',
      [
        [2, 2, 3, 4],
        [2, 2, 5, 4],
      ],
    ],
    [
      'bij,jk',
      [
        [2, 3, 4],
        [4, 2],
      ],
    ],
    [
      '...ij,...jk->...ik',
      [
        [2, 3, 4],
        [2, 4, 2],
      ],
    ],
    ['i,j->ij', [[3], [4]]],
    [
      'ij,kj->k',
      [
        [2, 3],
        [4, 3],
      ],
    ],
    ['ij->ji', [[2, 3]]],
    ['ij->i', [[2, 3]]],
    ['ij->', [[2, 3]]],
    [
      'ij,jk,kl->il',
      [
        [2, 3],
        [3, 2],
        [2, 4],
      ],
    ],
  ])('%s', (equation, shapes) =>
    checkGradient({
      opType: 'Einsum',
      inputs: shapes.map((dims) => ({ dims })),
      attributes: { equation: string(equation) },
    }),
  );
});
