import { throwIfAborted } from '../../errors.js';
import type { Graph } from '../../graph/graph.js';
import type { Model } from '../../graph/model.js';
import type { Node } from '../../graph/node.js';
import { readModel } from '../../graph/read.js';
import type { Value } from '../../graph/value.js';
import { modelBytes } from '../../graph/write.js';
import { FLOAT } from '../../onnx/data-type.js';
import { inferShapes } from '../../ops/infer.js';
import { eliminateDeadNodes } from '../../passes/eliminate-dead-nodes.js';
import { runPasses } from '../../passes/runner.js';
import type { Driver, RuntimeTensor, SessionOptions } from '../../runtime/types.js';
import type { CalibrationBatch, CalibrationImages } from './types.js';

/** Of inputs, by name. */
type InputShapes = Readonly<Record<string, readonly number[]>>;

/** A model, and what it is run on. */
export interface Source {
  readonly model: Model;
  /** Of a full batch. */
  readonly inputShapes: InputShapes;
  readonly images: Pick<CalibrationImages, 'images' | 'dims' | 'batches'>;
}

/** A whole model, and the images. */
export function sourceOf(model: Model, images: CalibrationImages): Source {
  return { model, inputShapes: { [images.input]: images.dims }, images };
}

export interface FrontierContext {
  readonly images: CalibrationImages;
  readonly driver: Driver;
  readonly session: SessionOptions;
  readonly signal?: AbortSignal | undefined;
}

/** How far images were run through a model that is changed behind that, so that what was run need not run again. */
export interface Frontier {
  /** The model from there on, as far as it can be: what `node` needs stands before it. */
  upTo(node: Node): Promise<Source>;
  /** To be called before these nodes are replaced. */
  forget(nodes: Iterable<Node>): void;
}

/** Bytes of numbers that may be kept of all images. */
const mostBytes = 1e9;

/** What was kept: the numbers of some values for every run. */
interface Kept {
  readonly names: readonly string[];
  readonly shapes: InputShapes;
  readonly batches: readonly CalibrationBatch[];
}

/**
 * Of a model whose nodes are replaced one after the other, in an order in which each comes behind what it needs. Throws what
 * running the model throws.
 */
export function openFrontier(model: Model, context: FrontierContext): Frontier {
  const { images } = context;
  const whole = sourceOf(model, images);
  const hasBodies = [...model.graph.values.values()].some(({ uses }) => uses.some(({ index }) => index < 0));
  const done = new Set<Node>();
  let kept: Kept | undefined;
  const source = (): Source => {
    if (kept === undefined) return whole;
    const { names, batches } = kept;
    const { model: rest, inputs } = from(model, names);
    const renamed = <Each>(of: Readonly<Record<string, Each>>): Record<string, Each> =>
      Object.fromEntries(names.map((name, index) => [inputs[index]!, of[name]!]));
    return {
      model: rest,
      inputShapes: { ...whole.inputShapes, ...renamed(kept.shapes) },
      images: {
        images: images.images,
        dims: images.dims,
        async *batches() {
          for (const { feeds, size } of batches) yield await Promise.resolve({ feeds: renamed(feeds), size });
        },
      },
    };
  };
  return {
    upTo: async (node) => {
      if (hasBodies) return whole;
      const next = new Set(done);
      addNeeded(node, next);
      const live = liveValues(model.graph, next);
      const shapes = shapesOf(model, live, whole.inputShapes);
      if (shapes === undefined || bytesOf(shapes, images) > mostBytes) return source();
      const isMoved = kept === undefined || String(live.map(({ name }) => name)) !== String(kept.names);
      if (isMoved) kept = await advance(source(), kept, shapes, context);
      for (const each of next) done.add(each);
      return source();
    },
    forget: (nodes) => {
      for (const node of nodes) {
        if (!done.has(node)) continue;
        done.clear();
        kept = undefined;
        return;
      }
    },
  };
}

/** Runs on to other values. */
async function advance(
  { model, images }: Source,
  kept: Kept | undefined,
  shapes: InputShapes,
  { driver, session: options, signal }: FrontierContext,
): Promise<Kept> {
  const names = Object.keys(shapes);
  const copy = readModel(modelBytes(model));
  const { graph } = copy;
  const carried = new Set(kept?.names);
  const computed = names.filter((name) => !carried.has(name) && graph.value(name)!.producer !== undefined);
  const batches: CalibrationBatch[] = [];
  for (const output of graph.outputs.splice(0)) output.isOutput = false;
  for (const name of computed) graph.addOutput(graph.value(name)!, { dataType: FLOAT, dims: undefined });
  // With images alone, nothing is to be computed.
  if (computed.length > 0) runPasses(copy, [eliminateDeadNodes]);
  const read = dropUnread(graph);
  const session = computed.length === 0 ? undefined : await driver.createSession(modelBytes(copy), options);
  try {
    let index = 0;
    for await (const { feeds, size } of images.batches()) {
      throwIfAborted(signal);
      if (size === 0) continue;
      const outputs = (await session?.run(only(read, feeds), computed, { signal })) ?? {};
      const before = kept?.batches[index++]?.feeds;
      const numbers = names.map((name): [string, RuntimeTensor] => [name, outputs[name] ?? (before ?? feeds)[name]!]);
      batches.push({ feeds: Object.fromEntries(numbers), size });
    }
  } finally {
    await session?.close();
  }
  return { names, shapes, batches };
}

/** A copy that starts at these values, with the inputs that stand for them. What nothing reads any more is still there. */
function from(model: Model, names: readonly string[]): { readonly model: Model; readonly inputs: readonly string[] } {
  const copy = readModel(modelBytes(model));
  const { graph } = copy;
  const inputs = names.map((name) => {
    const value = graph.value(name)!;
    const input = graph.uniqueName(`${name}.kept`);
    graph.replaceUses(value, graph.addInput(input, { dataType: FLOAT, dims: undefined }));
    return input;
  });
  return { model: copy, inputs };
}

/** The runs, without what a model of these inputs does not read. */
export async function* withInputs(
  read: ReadonlySet<string>,
  images: Pick<CalibrationImages, 'batches'>,
): AsyncGenerator<CalibrationBatch> {
  for await (const { feeds, size } of images.batches()) yield { feeds: only(read, feeds), size };
}

function only(read: ReadonlySet<string>, feeds: CalibrationBatch['feeds']): CalibrationBatch['feeds'] {
  return Object.fromEntries(Object.entries(feeds).filter(([name]) => read.has(name)));
}

/** Removes inputs that nothing reads; returns the names of those that are left. */
export function dropUnread(graph: Graph): ReadonlySet<string> {
  for (const value of [...graph.inputs]) {
    if (value.tensor !== undefined || value.uses.length > 0 || value.isOutput) continue;
    graph.inputs.splice(graph.inputs.indexOf(value), 1);
    value.isInput = false;
  }
  return new Set(graph.inputs.map(({ name }) => name));
}

/** Everything that must have run before `node` can. */
function addNeeded(node: Node, needed: Set<Node>): void {
  const waiting = [...node.inputs];
  for (let value = waiting.pop(); waiting.length > 0 || value !== undefined; value = waiting.pop()) {
    const producer = value?.producer;
    if (producer === undefined || needed.has(producer)) continue;
    needed.add(producer);
    waiting.push(...producer.inputs);
  }
}

/** What nodes outside of `done` read of it, and of the images; but what no image decides, which is made anew. */
function liveValues(graph: Graph, done: ReadonlySet<Node>): readonly Value[] {
  const varying = new Set(graph.inputs.filter(({ tensor }) => tensor === undefined));
  for (const { inputs, outputs } of graph.sorted()) {
    if (!inputs.some((value) => value !== undefined && varying.has(value))) continue;
    for (const value of outputs) if (value !== undefined) varying.add(value);
  }
  return [...varying].filter(
    ({ producer, uses }) => (producer === undefined || done.has(producer)) && uses.some(({ node }) => !done.has(node)),
  );
}

/** undefined where a value is none of floats, or its size is not known. */
function shapesOf(model: Model, values: readonly Value[], inputShapes: InputShapes): InputShapes | undefined {
  const shapes = inferShapes(model, { inputShapes });
  const found: Record<string, readonly number[]> = {};
  for (const value of values) {
    const type = shapes.typeOf(value);
    if (type?.dataType !== FLOAT) return undefined;
    found[value.name] = type.dims;
  }
  return found;
}

/** Of all images. */
function bytesOf(shapes: InputShapes, { images, dims }: CalibrationImages): number {
  const numbers = Object.values(shapes).reduce((sum, own) => sum + own.reduce((product, dim) => product * dim, 1), 0);
  return 4 * numbers * Math.ceil(images / (dims[0] ?? 1));
}
