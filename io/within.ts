/** Waiting for something that may never come. */

/** Resolves with whether `work` was done within `limitMs`; rejects if it failed by then. A failure after that is nobody's. */
export async function within(limitMs: number, work: Promise<unknown>): Promise<boolean> {
  work.catch(() => {});
  let timer: ReturnType<typeof setTimeout> | undefined;
  const limit = new Promise<false>((resolve) => timer = setTimeout(resolve, limitMs, false));
  try {
    return await Promise.race([work.then(() => true), limit]);
  } finally {
    clearTimeout(timer);
  }
}
