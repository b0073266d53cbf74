import { LowrankError } from '../errors.js';
import { checkModel } from '../graph/check.js';
import { readModel } from '../graph/read.js';
import { modelBytes } from '../graph/write.js';
import { inferShapes } from '../ops/infer.js';
import type { Candidate, Selection } from '../factorize/candidates.js';
import { factorizable, sameLayer } from '../factorize/calibration/fit-on-data.js';
import { inits } from '../factorize/inits/index.js';
import { joinable } from '../factorize/joinable.js';
import { joinedName, type JoinedProducts, joinProducts, separateProducts } from '../rewrite/join-products.js';
import { findLayers, type Layer } from '../rewrite/layers.js';
import type { Opened, Original } from './open.js';

/** Products of one input that are one layer of the joined model. */
export interface JoinedLayers {
  readonly candidate: Candidate;
  /** Of the original. */
  readonly layers: readonly Layer[];
  readonly products: JoinedProducts;
}

/** What is converted: the original, or a copy with products of one input joined. */
export interface Used {
  readonly opened: Opened;
  readonly original: Original;
  readonly joined: readonly JoinedLayers[];
  /** Whether ranks were given for the joined layers, by their names. */
  readonly isAsked?: boolean;
}

/**
 * The model with products that read one input joined; those whose joined name ranks are given for, and all where what the outputs feel, under a
 * budget, says whether joining loses less. undefined where there are none.
 */
export function joinedModel(opened: Opened, original: Original): Used | undefined {
  const { settings, calibrate } = opened.asked;
  const { rankMode } = settings.ranks;
  const isCounted = rankMode.kind === 'budget' && rankMode.of !== 'latency' && calibrate !== undefined;
  // What the whole network is fitted by compares layers of the file with those of the model.
  const isWhole = inits[settings.fitting.init].isWhole === true;
  if (isWhole || settings.reinit || settings.inputs.length > 0) return undefined;
  if (!isCounted && rankMode.kind !== 'ranks') return undefined;
  const isNamed = (group: readonly Candidate[]): boolean =>
    rankMode.kind !== 'ranks' || rankMode.ranks.has(joinedName(group.map(({ layer }) => layer)));
  const groups = joinable(original.selection.candidates).filter(isNamed);
  if (groups.length === 0) return undefined;
  const model = readModel(modelBytes(opened.model));
  const before = factorizable(model, inferShapes(model, { inputShapes: settings.inputShapes }));
  const products = groups.map((group) =>
    joinProducts(
      model,
      group.map(({ layer }) => sameLayer(before, layer)),
    ),
  );
  const shapes = inferShapes(model, { inputShapes: settings.inputShapes });
  if (shapes.unknown.length > 0) return undefined;
  const layers = findLayers(model.graph, shapes);
  const { selection, candidates } = selectionOf(original.selection, layers, groups, products);
  return {
    isAsked: rankMode.kind === 'ranks',
    opened: { ...opened, model, shapes },
    original: { ...original, layers, selection },
    joined: products.map((own, at) => ({
      candidate: candidates[at]!,
      layers: groups[at]!.map(({ layer }) => layer),
      products: own,
    })),
  };
}

/** Makes products again of those that were not factorized, and says which others are one product now. */
export function settleJoined(
  { opened, joined, isAsked }: Used,
  { fits }: { readonly fits: readonly { readonly candidate: Candidate }[] },
): string[] {
  const isFactorized = ({ candidate }: JoinedLayers): boolean => fits.some((fit) => fit.candidate === candidate);
  const together = joined.filter(isFactorized);
  for (const own of joined) if (!isFactorized(own)) separateProducts(opened.model, own.products);
  const [first] = together;
  if (joined.length > 0) checkModel(opened.model);
  if (first === undefined) return [];
  const products = together.reduce((sum, { layers }) => sum + layers.length, 0);
  const which =
    together.length === 1
      ? `${products} products that read the same input are one pair`
      : `${products} products are ${together.length} pairs, each of those that read the same input, first`;
  const why = isAsked === true ? 'as their rank says that was given' : 'the outputs change less';
  return [`${which} '${first.candidate.layer.label}', behind which Split parts them: ${why}`];
}

/** The same selection of the layers of the joined model. */
function selectionOf(
  { candidates, kept, warnings }: Selection,
  layers: readonly Layer[],
  groups: readonly (readonly Candidate[])[],
  products: readonly JoinedProducts[],
): { readonly selection: Selection; readonly candidates: readonly Candidate[] } {
  const free = layers.filter((layer) => layer.kind === 'factorizable');
  const inGroups = new Set(groups.flat());
  const others = candidates
    .filter((candidate) => !inGroups.has(candidate))
    .map((candidate): Candidate => {
      const own = candidate.layers.map((layer) => sameLayer(free, layer));
      return Object.assign({}, candidate, { layer: own[candidate.layers.indexOf(candidate.layer)]!, layers: own });
    });
  const joined = products.map(({ product }): Candidate => {
    const layer = free.find(({ node }) => node === product);
    if (layer === undefined) throw new LowrankError('INTERNAL', `'${product.name}' is no layer`);
    return { layer, layers: [layer], activation: { kind: 'linear' } };
  });
  const place = (candidate: Candidate): number => layers.indexOf(candidate.layer);
  const reasons = new Map([...kept].map(([layer, reason]) => [layer.name, reason]));
  return {
    selection: {
      candidates: [...others, ...joined].sort((a, b) => place(a) - place(b)),
      kept: new Map(
        layers.flatMap((layer) => {
          const reason = reasons.get(layer.name);
          return reason === undefined ? [] : [[layer, reason] as const];
        }),
      ),
      warnings,
    },
    candidates: joined,
  };
}
