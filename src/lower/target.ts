import { copyForward } from '../autodiff/copy-forward.js';
import type { BuildForward } from '../autodiff/forward.js';
import { cudaForward } from './cuda/forward.js';
import { lowerForwardFor } from './chwn/forward.js';
import { probeBlockedConv } from './chwn/probe.js';
import { convTransposeByConv } from './cuda/conv-transpose-by-conv.js';
import { maxPoolByWindows } from './cuda/max-pool-by-windows.js';
import { normalizeByMeans } from './cuda/normalize-by-means.js';
import type { Pass } from '../passes/runner.js';
import type { Driver, SessionOptions } from '../runtime/types.js';

/** Where the emitted graphs run; all but `cpu` have standard operators only. */
export const targetNames = ['portable', 'cpu', 'cuda'] as const;
export type TargetName = (typeof targetNames)[number];

/** How the forward pass is emitted for a target, and the operator sets it needs beside the model's. */
export interface Target {
  readonly build: BuildForward;
  readonly opsets: ReadonlyMap<string, number>;
  /** What onnxruntime may change of the gradient graph. */
  readonly graphOptimization: NonNullable<SessionOptions['graphOptimization']>;
  /** What was found out about the machine: a training goes on bit for bit only where it is the same. */
  readonly machine: Readonly<Record<string, unknown>>;
  /** Of the gradient graph and the eval graph. */
  readonly passes: readonly Pass[];
}

const portable: Target = { build: copyForward, opsets: new Map(), graphOptimization: 'all', machine: {}, passes: [] };
const cuda: Target = { ...portable, build: cudaForward, passes: [normalizeByMeans, maxPoolByWindows] };

/**
 * The target of a name. `cuda` has no operator that onnxruntime refuses there, with `nhwc` in sessions of `prefer_nhwc`. `cpu` lowers the graph to one layout and uses the blocked depthwise convolution where this
 * machine's onnxruntime has it, which a run of the operator finds out. Its graphs have a fixed batch.
 */
export async function targetOf(
  name: TargetName,
  driver: Driver,
  { nhwc = false }: { readonly nhwc?: boolean } = {},
): Promise<Target> {
  if (name === 'portable') return portable;
  if (name === 'cuda') return nhwc ? { ...cuda, passes: [...cuda.passes, convTransposeByConv] } : cuda;
  const blockSize = await probeBlockedConv(driver);
  return {
    build: lowerForwardFor({ hasContribOperators: true, blockSize }),
    opsets: new Map([
      ['com.microsoft', 1],
      ['com.microsoft.nchwc', 1],
    ]),
    // It is as it should be run: rewritten by onnxruntime (transpositions pushed about, Conv taken apart), it takes 5 to
    // 10 % longer.
    graphOptimization: 'disabled',
    machine: { blockSize: blockSize ?? null },
    passes: [],
  };
}
