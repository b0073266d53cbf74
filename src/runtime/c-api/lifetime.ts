/**
 * How long a native object must live: it is freed when its owner and all who use it have let go. A tensor's memory is given
 * back to its session's allocator, so the session outlives every tensor that a binding still uses.
 */
export interface Lifetime {
  /** One more user. */
  retain(): void;
  /** One user less; the last one frees. */
  release(): void;
}

/** The lifetime of an object with one user, its owner. */
export function lifetime(free: () => void): Lifetime {
  let users = 1;
  return {
    retain: () => {
      users++;
    },
    release: () => {
      users--;
      if (users === 0) free();
    },
  };
}
