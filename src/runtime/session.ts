import { BufferBinding, type BindingBackend } from './binding.js';
import { checkFeeds, checkOutputs, closedError, type Feed } from './check.js';
import type {
  Binding,
  DeviceTensor,
  ElementType,
  HostTensor,
  PlacedNode,
  RunOptions,
  RuntimeTensor,
  Session,
  ValueInfo,
} from './types.js';

/** What a driver adds to `CheckedSession`: everything it is given has been checked. */
export interface SessionBackend {
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  /** One feed for each input, in order. Throws RUNTIME, UNSUPPORTED or ABORTED. */
  run(
    feeds: readonly Feed[],
    outputNames: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<Record<string, RuntimeTensor>>;
  bind(): BindingBackend;
  readonly placement: readonly PlacedNode[] | undefined;
  /** Where its tensors lie, such as "cpu" or "cuda:0". */
  readonly location: string;
  allocate(type: ElementType, dims: readonly number[]): DeviceTensor;
  allocateHost(type: ElementType, dims: readonly number[]): HostTensor;
  /** Called once, without runs in flight or bindings. */
  close(): Promise<string | undefined>;
}

/** The rules of `Session`, the same for both drivers. Runs may overlap; `close` waits for them. */
export class CheckedSession implements Session {
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  readonly placement: readonly PlacedNode[] | undefined;
  readonly #backend: SessionBackend;
  readonly #running = new Set<Promise<unknown>>();
  readonly #bindings = new Set<BufferBinding>();
  #closing: Promise<string | undefined> | undefined;

  constructor(backend: SessionBackend) {
    this.#backend = backend;
    this.inputs = backend.inputs;
    this.outputs = backend.outputs;
    this.placement = backend.placement;
  }

  async run(
    feeds: Readonly<Record<string, RuntimeTensor>>,
    outputNames?: readonly string[],
    options: RunOptions = {},
  ): Promise<Record<string, RuntimeTensor>> {
    if (this.#closing !== undefined) throw closedError('session');
    const checked = checkFeeds(this.inputs, feeds);
    const outputs = checkOutputs(this.outputs, outputNames).map(({ name }) => name);
    return this.#track(this.#backend.run(checked, outputs, options.signal));
  }

  bind(): Binding {
    if (this.#closing !== undefined) throw closedError('session');
    const binding = new BufferBinding(
      {
        inputs: this.inputs,
        outputs: this.outputs,
        location: this.#backend.location,
        track: (run) => this.#track(run),
        onClose: () => this.#bindings.delete(binding),
      },
      this.#backend.bind(),
    );
    this.#bindings.add(binding);
    return binding;
  }

  allocate(type: ElementType, dims: readonly number[]): DeviceTensor {
    if (this.#closing !== undefined) throw closedError('session');
    return this.#backend.allocate(type, dims);
  }

  allocateHost(type: ElementType, dims: readonly number[]): HostTensor {
    if (this.#closing !== undefined) throw closedError('session');
    return this.#backend.allocateHost(type, dims);
  }

  close(): Promise<string | undefined> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<string | undefined> {
    await Promise.allSettled(this.#running);
    for (const binding of this.#bindings) binding.dispose();
    return this.#backend.close();
  }

  async #track<T>(run: Promise<T>): Promise<T> {
    this.#running.add(run);
    try {
      return await run;
    } finally {
      this.#running.delete(run);
    }
  }
}
