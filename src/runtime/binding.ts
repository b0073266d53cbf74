import { LowrankError, throwIfAborted } from '../errors.js';
import { checkTensor, closedError, findValue, isOnDevice, missingInput } from './check.js';
import type { Binding, BoundTensor, RunOptions, ValueInfo } from './types.js';

export type BindingSide = 'input' | 'output';

/** What a driver adds to `BufferBinding`: everything it is given has been checked. */
export interface BindingBackend {
  /** `tensor` stays referenced until it is replaced or the binding is disposed of. */
  bind(side: BindingSide, name: string, tensor: BoundTensor): void;
  /** All that is bound. Throws RUNTIME or ABORTED. */
  run(
    inputs: ReadonlyMap<string, BoundTensor>,
    outputs: ReadonlyMap<string, BoundTensor>,
    signal: AbortSignal | undefined,
  ): Promise<void>;
  dispose(): void;
}

/** The values of the session, and how it hears of the binding's runs and end. */
export interface BindingOwner {
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  /** Where its tensors lie. */
  readonly location: string;
  track<T>(run: Promise<T>): Promise<T>;
  onClose(): void;
}

/** The rules of `Binding`, the same for both drivers. */
export class BufferBinding implements Binding {
  readonly #owner: BindingOwner;
  readonly #backend: BindingBackend;
  readonly #inputs = new Map<string, BoundTensor>();
  readonly #outputs = new Map<string, BoundTensor>();
  #state: 'idle' | 'running' | 'closed' = 'idle';

  constructor(owner: BindingOwner, backend: BindingBackend) {
    this.#owner = owner;
    this.#backend = backend;
  }

  bindInput(name: string, tensor: BoundTensor): void {
    this.#bind('input', name, tensor);
  }

  bindOutput(name: string, tensor: BoundTensor): void {
    this.#bind('output', name, tensor);
  }

  #bind(side: BindingSide, name: string, tensor: BoundTensor): void {
    this.#requireIdle();
    const info = findValue(side, side === 'input' ? this.#owner.inputs : this.#owner.outputs, name);
    checkTensor(side, info, tensor);
    const { location } = this.#owner;
    if (isOnDevice(tensor) && tensor.location !== location) {
      throw new LowrankError('RUNTIME', `the tensor lies on ${tensor.location}, the session runs on ${location}`, {
        place: `${side} '${name}'`,
      });
    }
    this.#backend.bind(side, name, tensor);
    (side === 'input' ? this.#inputs : this.#outputs).set(name, tensor);
  }

  async run(options: RunOptions = {}): Promise<void> {
    this.#requireIdle();
    throwIfAborted(options.signal);
    const { inputs, outputs } = this.#owner;
    for (const { name } of inputs) if (!this.#inputs.has(name)) throw missingInput(inputs, name);
    if (this.#outputs.size === 0) throw new LowrankError('RUNTIME', 'no output is bound');
    // An array that was detached or resized since it was bound must not reach native code.
    for (const [name, tensor] of this.#inputs) checkTensor('input', findValue('input', inputs, name), tensor);
    for (const [name, tensor] of this.#outputs) checkTensor('output', findValue('output', outputs, name), tensor);
    this.#state = 'running';
    try {
      await this.#owner.track(this.#backend.run(this.#inputs, this.#outputs, options.signal));
    } finally {
      if (this.#state === 'running') this.#state = 'idle';
    }
  }

  close(): void {
    if (this.#state === 'closed') return;
    this.#requireIdle();
    this.dispose();
  }

  /** `close` for the session, which knows that no native run is left. */
  dispose(): void {
    this.#state = 'closed';
    this.#inputs.clear();
    this.#outputs.clear();
    this.#backend.dispose();
    this.#owner.onClose();
  }

  #requireIdle(): void {
    if (this.#state === 'closed') throw closedError('binding');
    if (this.#state === 'running') throw new LowrankError('RUNTIME', 'a run of this binding is in flight');
  }
}
