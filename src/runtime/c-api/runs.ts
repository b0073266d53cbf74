import { throwIfAborted } from '../../errors.js';
import { runError } from '../failure.js';
import { logSeverity } from '../log.js';
import type { Failure, NativeApi } from './api.js';

/** Names the recording of a run; `NO_GRAPH` says that there is none. */
const GRAPH_KEY = 'gpu_graph_id';

/** A run in flight: ends it early, and holds what native code uses. */
interface Run {
  readonly terminate: () => void;
  readonly keep: unknown;
}

/** Referenced from here, so that the garbage collector leaves alone what native code uses. */
const inFlight = new Set<Run>();

/** Sessions that are open: what ends their threads. */
const open = new Set<() => void>();

// Node waits at exit for native calls in flight; onnxruntime would finish the whole graph first. Threads of sessions that
// are still there while the process is taken apart have crashed it, if rarely: those of idle sessions are ended before.
const atExit = (): void => {
  for (const run of inFlight) run.terminate();
  if (inFlight.size > 0) return;
  for (const release of open) release();
};

/** Says that a session is open until the function that this gives is called; `release` is called at exit else. */
export function untilClosed(release: () => void): () => void {
  if (!process.listeners('exit').includes(atExit)) process.on('exit', atExit);
  open.add(release);
  return () => {
    open.delete(release);
  };
}

/** For a run that is neither recorded nor replayed. */
export const NO_GRAPH = -1;

/**
 * Starts a run with run options of its own and waits for it. `signal` ends it between two operators. `keep` stays
 * referenced until native code is done. `graph` is the number of the recording that the run makes or replays, in a session
 * that captures. Throws ABORTED or RUNTIME.
 */
export async function execute(
  api: NativeApi,
  signal: AbortSignal | undefined,
  keep: unknown,
  start: (runOptions: bigint) => Promise<Failure | undefined>,
  graph?: number,
): Promise<void> {
  throwIfAborted(signal);
  const runOptions = api.create('CreateRunOptions');
  const run: Run = {
    keep,
    terminate: () => {
      api.call('RunOptionsSetTerminate', runOptions);
    },
  };
  inFlight.add(run);
  signal?.addEventListener('abort', run.terminate, { once: true });
  try {
    api.call('RunOptionsSetRunLogSeverityLevel', runOptions, logSeverity());
    if (graph !== undefined) api.call('AddRunConfigEntry', runOptions, GRAPH_KEY, String(graph));
    const failure = await start(runOptions);
    if (failure !== undefined) throw runError(signal, failure.message);
    throwIfAborted(signal);
  } finally {
    signal?.removeEventListener('abort', run.terminate);
    inFlight.delete(run);
    api.release('ReleaseRunOptions', runOptions);
  }
}
