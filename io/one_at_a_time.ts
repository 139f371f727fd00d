/** Work that is asked for from several sides, done by one at a time. */

/**
 * Returns a function that does `work`, which never throws; asked for while it is done, it is done once more after that,
 * unless `isOver` by then.
 */
export function oneAtATime(work: () => Promise<void>, isOver: () => boolean): () => Promise<void> {
  let isRunning = false;
  let isDue = false;
  return async () => {
    isDue = true;
    if (isRunning) return;
    isRunning = true;
    while (isDue && !isOver()) {
      isDue = false;
      await work();
    }
    isRunning = false;
  };
}
