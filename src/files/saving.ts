let pending = 0;

/** While `action` runs, this process has something to lose: what ends it waits until it is saved. */
export async function saving<Result>(action: () => Promise<Result>): Promise<Result> {
  pending++;
  try {
    return await action();
  } finally {
    pending--;
  }
}

/** Whether there is something to save before this process ends. */
export function isSaving(): boolean {
  return pending > 0;
}
