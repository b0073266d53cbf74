import { LowrankError } from '../errors.js';
import type { Model } from '../graph/model.js';
import type { Value } from '../graph/value.js';
import { findActivation } from '../rewrite/find-activation.js';
import { clearlyCheaper, type FoundPairs, findPairs } from '../rewrite/find-pairs.js';
import { matchesGlob } from '../rewrite/glob.js';
import { namesOf } from '../rewrite/layer-label.js';
import type { FactorizableLayer, Layer } from '../rewrite/layers.js';
import type { SelectionSettings } from './settings.js';
import { inits } from './inits/index.js';
import type { ActivationForm } from './sampled/activation-form.js';
import { obstacleOf, regionForm } from './sampled/region-form.js';
import type { Activation } from '../rewrite/types.js';
import type { InitName } from './types.js';

/** Layers that use one weight: they are factorized together or not at all. */
export interface Candidate {
  /** The first in graph order; it carries the weight's parameters in counts. */
  readonly layer: FactorizableLayer;
  /** All of them, `layer` included. */
  readonly layers: readonly FactorizableLayer[];
  readonly activation: Activation;
  /** The activation where it has no closed forms (`activation` is linear then) but an init that samples can run it. */
  readonly form?: ActivationForm | undefined;
}

export interface Selection {
  readonly candidates: readonly Candidate[];
  /** Reasons of all layers that are kept from the start, by layer. */
  readonly kept: ReadonlyMap<Layer, string>;
  readonly warnings: readonly string[];
}

/** Sorts layers into those to factorize and those to keep, with a reason for each. Throws USAGE for globs and names that match nothing. */
export function selectCandidates(
  model: Model,
  layers: readonly Layer[],
  settings: SelectionSettings,
  init: InitName,
): Selection {
  const kept = new Map<Layer, string>();
  const warnings: string[] = [];
  const matches = (layer: Layer, globs: readonly string[]): boolean =>
    globs.some((glob) => namesOf(layer).some((name) => matchesGlob(name, glob)));
  for (const [flag, globs] of [
    ['--include', settings.include],
    ['--exclude', settings.exclude],
  ] as const) {
    const useless = globs.find((glob) => !layers.some((layer) => matches(layer, [glob])));
    if (useless !== undefined) {
      throw new LowrankError('USAGE', `${flag} '${useless}' matches no layer`, {
        remedy: 'see `lowrank-inspect` for the names',
      });
    }
  }
  // Also pairs that somebody else made: a factor of a pair is low-rank already.
  const found = settings.factorizePairs ? noPairs : findPairs(model, layers, clearlyCheaper);
  warnings.push(...found.warnings);
  const inPairs = new Set<Layer>(found.pairs.flatMap(({ factors }) => factors));
  const first = layers[0];
  const last = layers.at(-1);
  for (const layer of layers) {
    const reason = reasonToKeep(layer, {
      isPair: inPairs.has(layer),
      chain: found.chained.get(layer),
      isFirst: settings.keepFirst && layer === first,
      isLast: settings.keepLast && layer === last && layer !== first,
      isExcluded: matches(layer, settings.exclude),
      isLeftOut: settings.include.length > 0 && !matches(layer, settings.include),
    });
    if (reason !== undefined) kept.set(layer, reason);
  }
  const groups = new Map<string, FactorizableLayer[]>();
  for (const layer of layers) {
    if (layer.kind !== 'factorizable') continue;
    const key = weightKey(layer);
    groups.set(key, [...(groups.get(key) ?? []), layer]);
  }
  const candidates: Candidate[] = [];
  for (const group of groups.values()) {
    const free = group.filter((layer) => !kept.has(layer));
    const layer = free[0];
    if (layer === undefined) continue;
    const reader = sharedObstacle(group, kept);
    if (reader !== undefined) {
      for (const member of free) kept.set(member, reader);
      continue;
    }
    // Rows of a transposed convolution's matrix are no neurons: what follows it is not seen.
    const isTransposed = layer.form === 'conv-transposed';
    const found = isTransposed ? undefined : findActivation(model.graph, layer.node.outputs[0]!);
    const { activation = linear, unknown, region } = found ?? {};
    const form = region === undefined ? undefined : regionForm(region, model.opsets);
    const isSampled = inits[init].isSampled === true && layer.group === 1;
    const obstacle = form === undefined ? undefined : obstacleOf(form, layer.geometry.out);
    const canSample = isSampled && form !== undefined && obstacle === undefined;
    if (unknown !== undefined && !canSample) {
      const why = isSampled && obstacle !== undefined ? ` (${obstacle})` : '';
      warnings.push(`layer '${layer.label}': no rule for its activation ${unknown}${why}, fitted as a linear layer`);
    }
    candidates.push({ layer, layers: group, activation, ...(canSample ? { form } : {}) });
  }
  return { candidates, kept, warnings };
}

const linear: Activation = { kind: 'linear' };

const noPairs: FoundPairs = { pairs: [], chained: new Map(), warnings: [] };

interface Facts {
  readonly isPair: boolean;
  /** Why it is one of three or more linear factors. */
  readonly chain: string | undefined;
  readonly isFirst: boolean;
  readonly isLast: boolean;
  readonly isExcluded: boolean;
  readonly isLeftOut: boolean;
}

function reasonToKeep(layer: Layer, facts: Facts): string | undefined {
  if (layer.kind === 'fixed') return layer.reason;
  if (facts.isPair) return 'already a factor of a low-rank pair (--factorize-pairs factorizes it)';
  if (facts.chain !== undefined) return facts.chain;
  if (facts.isExcluded) return 'excluded by --exclude';
  if (facts.isLeftOut) return 'not named by --include';
  if (facts.isFirst) return 'first layer (--no-keep-first factorizes it)';
  if (facts.isLast) return 'last layer (--no-keep-last factorizes it)';
  return undefined;
}

/** Layers with equal keys read the same numbers in the same layout. */
function weightKey(layer: FactorizableLayer): string {
  const { source, chain } = layer.weight;
  const steps = chain.map((node) => [
    node.opType,
    [...node.attributes].map(([name, { value }]) => [name, value]),
    node.inputs.slice(1).map((input) => input?.name),
  ]);
  const layout = layer.form === 'gemm' ? layer.node.int('transB', 0) : 0;
  return JSON.stringify([source.name, layer.form, layout, steps]);
}

/** Why a shared weight cannot be replaced for all of its readers. */
function sharedObstacle(group: readonly FactorizableLayer[], kept: ReadonlyMap<Layer, string>): string | undefined {
  const fixed = group.find((layer) => kept.has(layer));
  if (fixed !== undefined) return `shares its weight with '${fixed.label}', which is kept`;
  const source = group[0]!.weight.source;
  const own = new Set(group.flatMap((layer) => [layer.node, ...layer.weight.chain]));
  const stranger = otherReader(source, own);
  return stranger === undefined ? undefined : `its weight is also read by '${stranger}'`;
}

function otherReader(source: Value, own: ReadonlySet<unknown>): string | undefined {
  if (source.isOutput) return 'the outputs of the model';
  return source.uses.find(({ node, index }) => index < 0 || !own.has(node))?.node.id;
}
