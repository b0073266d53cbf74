import { augment, parallelStep, turnBases } from '../adapt/augment.js';
import { eachLayer } from '../adapt/each-layer.js';
import { diagonalOf, type LayerFactors } from '../adapt/factors.js';
import { chooseRanks, needsOthers, roomFor } from '../adapt/ranks.js';
import { spectrumOf } from '../adapt/spectrum.js';
import { coefficientsOf, copyOthers, copyState, factorsOf, gradientsOf, putFactors } from '../adapt/state.js';
import { rotated, truncate } from '../adapt/truncate.js';
import type { BoundTensor } from '../runtime/types.js';
import type { EvalGraph } from '../step/eval-graph.js';
import type { LaidOut } from '../step/laid-out.js';
import type { LossScale } from '../step/loss-scale.js';
import { blankState, type TrainingState } from '../step/vectors.js';
import type { Adaptation } from './adaptation.js';
import { type AdaptiveOptions, closeSides, type Opened, openSides, placeOf } from './adaptive-sides.js';
import { copyBatch } from './copy-batch.js';
import type { FoundRanks } from './found-ranks.js';
import type { Measured, MicroBatch, Seen, Trainer } from './trainer.js';

/**
 * Trains a model whose layers find their ranks (docs/rank-adaptive.md): a trainer of coefficients whose bases change between updates.
 * `augmented`: of each cycle, the first update widens the bases by the gradients there and moves nothing else, the others move the
 * coefficients, and the last one is followed by a cut. `kls`: each update does all of that with one batch. `parallel`: as `kls`, with
 * one gradient. `kls-fixed`: the bases turn, and nothing is cut. Every epoch ends with a cut.
 */
export class AdaptiveTrainer implements Trainer {
  readonly #options: AdaptiveOptions;
  #opened: Opened;
  /** Batches of the update that goes on, where they are run twice. */
  readonly #batches: MicroBatch[] = [];
  /** Whether the trainer of the bases has the state of the other one. */
  #isFed = false;
  #seconds = 0;

  private constructor(options: AdaptiveOptions, opened: Opened) {
    this.#options = options;
    this.#opened = opened;
  }

  /** With a state laid out as `home`. Throws RUNTIME, DEVICE. */
  static async start(
    options: AdaptiveOptions,
    state: TrainingState,
    step: number,
    lossScale: LossScale | undefined,
    room?: readonly number[],
  ): Promise<AdaptiveTrainer> {
    const from = { state, layout: options.home };
    const { layers } = options.adaptation;
    if (room !== undefined) return new AdaptiveTrainer(options, await openSides(options, room, from, step, lossScale));
    const { at } = placeOf(options, step + (lossScale?.skipped ?? 0));
    // In the midst of a cycle the bases are wider than the rank.
    const isWide = options.method === 'augmented' && at > 0;
    const own = factorsOf(from, layers).map(({ core }, index) => {
      const widest = Math.max(core.rows, core.cols);
      return roomFor(layers[index]!, isWide ? Math.ceil(widest / 2) : widest);
    });
    return new AdaptiveTrainer(options, await openSides(options, own, from, step, lossScale));
  }

  get step(): number {
    return this.#opened.main.step;
  }

  get lossScale(): LossScale | undefined {
    return this.#opened.main.lossScale;
  }

  get rankRoom(): readonly number[] {
    return this.#opened.graphs.capacities.map(({ rank }) => rank);
  }

  get evaluation(): EvalGraph {
    return this.#opened.graphs.evaluation;
  }

  async read(): Promise<TrainingState> {
    const { home } = this.#options;
    const state = this.#options.blank();
    copyState(await this.#state(), { state, layout: home }, this.#layers);
    return state;
  }

  async write(state: TrainingState, step: number): Promise<void> {
    const next = { state: this.#opened.graphs.main.blank(), layout: this.#opened.graphs.main.layout };
    copyState({ state, layout: this.#options.home }, next, this.#layers);
    this.#isFed = false;
    await this.#opened.main.write(next.state, step);
  }

  async weights(): Promise<{ readonly parameters: BoundTensor; readonly statistics: BoundTensor }> {
    const { evaluated } = this.#opened.graphs;
    const now = await this.#state();
    const hasAverages = now.state.ema.length > 0;
    const state = blankState(evaluated, 0, hasAverages);
    const target = { state, layout: evaluated };
    copyOthers(now, target, this.#layers);
    const factors = factorsOf(now, this.#layers);
    putFactors(target, this.#layers, this.#fits(factors) ? factors : await this.#cut(factors));
    const count = state.parameters.length;
    const all = hasAverages ? state.ema : undefined;
    const bound = (data: Float32Array): BoundTensor => ({ type: 'float32', dims: [data.length], data });
    return {
      parameters: bound(all?.subarray(0, count) ?? state.parameters),
      statistics: bound(all?.subarray(count) ?? state.statistics),
    };
  }

  async accumulate(batch: MicroBatch): Promise<Seen | undefined> {
    const { main } = this.#opened;
    if (!this.#takesBases()) return main.accumulate(batch);
    const bases = await this.#fed();
    if (this.#options.method !== 'augmented') this.#batches.push(copyBatch(batch));
    return bases.accumulate(batch);
  }

  async update(learningRate: number): Promise<Measured | undefined> {
    const measured = await this.#updated(learningRate);
    if (this.#isCut()) await this.#timed(() => this.#truncate());
    return measured;
  }

  abandon(): void {
    this.#opened.bases?.abandon();
    this.#opened.main.abandon();
    this.#batches.length = 0;
    this.#isFed = false;
  }

  collect(): Promise<Measured | undefined> {
    return this.#opened.main.collect();
  }

  close(): Promise<void> {
    return closeSides(this.#opened);
  }

  /** Behind a cut. */
  async found(): Promise<FoundRanks> {
    const singularValues = factorsOf(await this.#state(), this.#layers).map(({ core }) => Array.from(diagonalOf(core)));
    const seconds = this.#seconds;
    this.#seconds = 0;
    return { singularValues, seconds };
  }

  get #layers(): Adaptation['layers'] {
    return this.#options.adaptation.layers;
  }

  /** Updates that were done or skipped. */
  get #tried(): number {
    return this.step + (this.lossScale?.skipped ?? 0);
  }

  async #state(): Promise<LaidOut> {
    const { main, graphs } = this.#opened;
    return { state: await main.read(), layout: graphs.main.layout };
  }

  /** Whether the update that comes begins with gradients of the bases. */
  #takesBases(): boolean {
    const { method } = this.#options;
    if (method === 'parallel') return false;
    return method !== 'augmented' || placeOf(this.#options, this.#tried).at === 0;
  }

  /** Whether the update that was done was the last of a cycle. */
  #isCut(): boolean {
    if (this.#options.method !== 'augmented') return true;
    return placeOf(this.#options, this.#tried).at === 0;
  }

  /** The trainer of the bases, where the weights are those of now. */
  async #fed(): Promise<Trainer> {
    const { bases, graphs } = this.#opened;
    if (!this.#isFed) {
      const { layout } = graphs.bases!;
      const state = graphs.bases!.blank();
      await this.#timed(async () => copyState(await this.#state(), { state, layout }, this.#layers));
      await bases!.write(state, this.step);
      this.#isFed = true;
    }
    return bases!;
  }

  async #updated(rate: number): Promise<Measured | undefined> {
    const { method } = this.#options;
    if (method === 'parallel') return this.#updateParallel(rate);
    if (!this.#takesBases()) return this.#opened.main.update(rate);
    const { bases, main, graphs } = this.#opened;
    const measured = await bases!.update(rate);
    this.#isFed = false;
    const batches = this.#batches.splice(0);
    // In float16, where the gradient overflowed.
    const isSeen = measured === undefined || measured.updates > 0;
    const isUpdate = method === 'augmented';
    const step = this.step + (isUpdate ? 1 : 0);
    if (isSeen) {
      const gradient = { state: await bases!.read(), layout: graphs.bases!.layout };
      await this.#timed(() => this.#changeBases(gradient, rate, step));
    } else if (isUpdate) await main.write(await main.read(), step);
    if (isUpdate) return measured === undefined ? undefined : { ...measured, updates: 1 };
    for (const batch of batches) await main.accumulate(batch);
    const second = await main.update(rate);
    return measured === undefined ? second : { ...measured, updates: second?.updates ?? 1 };
  }

  /** Widens the bases, or turns them where the rank is fixed. */
  async #changeBases(gradient: LaidOut, rate: number, step: number): Promise<void> {
    const now = await this.#state();
    const { linalg } = this.#options.adaptation;
    const factors = factorsOf(now, this.#layers);
    const gradients = gradientsOf(gradient, this.#layers, factors);
    const { kinds, method } = this.#options;
    const next = await eachLayer(factors, (own, at): Promise<LayerFactors> =>
      method === 'kls-fixed'
        ? turnBases(linalg, own, gradients[at]!, rate, (buffer, index, m, n) =>
            rotated(linalg, buffer, kinds[index]!, m, n),
          )
        : augment(linalg, own, gradients[at]!),
    );
    putFactors(now, this.#layers, next);
    await this.#opened.main.write(now.state, step);
  }

  /** One gradient of all: the coefficients are moved by the optimizer, and what is beside them in the bases that are augmented here. */
  async #updateParallel(rate: number): Promise<Measured | undefined> {
    const { main } = this.#opened;
    const before = factorsOf(await this.#state(), this.#layers);
    const measured = await main.update(rate);
    if (measured?.updates === 0) return measured;
    const now = await this.#state();
    await this.#timed(async () => {
      // Bases have their gradients in their place.
      const gradients = gradientsOf(now, this.#layers, before);
      const moved = coefficientsOf(now, this.#layers, before);
      const { linalg } = this.#options.adaptation;
      const next = await eachLayer(before, (own, at) =>
        parallelStep(linalg, own, { ...own, ...moved[at]! }, gradients[at]!, rate),
      );
      await this.#place(now, await this.#cut(next));
    });
    return measured;
  }

  /** The layers cut to the ranks that the rule leaves. */
  async #cut(factors: readonly LayerFactors[]): Promise<LayerFactors[]> {
    const { adaptation, kinds, method, updates } = this.#options;
    const { linalg, rule } = adaptation;
    const isCut = method !== 'kls-fixed';
    const spectra = await eachLayer(factors, ({ core }, at) => {
      const layer = this.#layers[at]!;
      return spectrumOf(linalg, core, `layer '${layer.label}'`, isCut ? rule.mostOf(layer) : undefined);
    });
    const ranks = isCut
      ? chooseRanks(this.#layers, spectra, rule, this.#tried / updates)
      : spectra.map(({ squares }) => squares.length);
    return eachLayer(factors, (own, at) => truncate(linalg, own, spectra[at]!, ranks[at]!, kinds));
  }

  async #truncate(): Promise<void> {
    if (this.#options.method === 'parallel') return;
    const now = await this.#state();
    await this.#place(now, await this.#cut(factorsOf(now, this.#layers)));
  }

  /** Puts factors in the place of those of now, into other graphs where these do not fit them well. */
  async #place(now: LaidOut, factors: readonly LayerFactors[]): Promise<void> {
    const { main, graphs } = this.#opened;
    const ranks = factors.map(({ core }) => core.rows);
    if (!needsOthers(this.#layers, ranks, graphs.capacities)) {
      putFactors(now, this.#layers, factors);
      return main.write(now.state, this.step);
    }
    const { home } = this.#options;
    const state = this.#options.blank();
    copyOthers(now, { state, layout: home }, this.#layers);
    putFactors({ state, layout: home }, this.#layers, factors);
    const [step, lossScale] = [this.step, this.lossScale];
    await closeSides(this.#opened);
    this.#isFed = false;
    const room = ranks.map((rank, at) => roomFor(this.#layers[at]!, rank));
    this.#opened = await openSides(this.#options, room, { state, layout: home }, step, lossScale);
  }

  #fits(factors: readonly LayerFactors[]): boolean {
    const { capacities } = this.#opened.graphs;
    return factors.every(({ core }, at) => Math.max(core.rows, core.cols) <= capacities[at]!.rank);
  }

  async #timed<T>(work: () => Promise<T>): Promise<T> {
    const started = performance.now();
    try {
      return await work();
    } finally {
      this.#seconds += (performance.now() - started) / 1000;
    }
  }
}
