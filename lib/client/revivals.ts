/**
 * Access that is asked for again without a packet. Who only listens, as one who downloads does, sends none that would ask
 * when a connection is lost; and the first connection after a loss often fails as well, while a network is still changing.
 */

/** In a row, for one resource. After them it waits for a packet. */
const MAX_ATTEMPTS = 3;
/** Resources at a time. */
const MAX_RESOURCES = 256;

export class Revivals {
  /** Attempts that are left. */
  readonly #left = new Map<string, number>();

  /** The connection for a resource is lost, or never came to be; returns whether to ask for access now. */
  handleLost(resourceId: string, wasConnected: boolean): boolean {
    const left = wasConnected ? MAX_ATTEMPTS : this.#left.get(resourceId) ?? 0;
    this.#left.delete(resourceId);
    if (left === 0 || this.#left.size >= MAX_RESOURCES) return false;
    this.#left.set(resourceId, left - 1);
    return true;
  }

  /** The resource is connected, or of no use any more. */
  forget(resourceId: string): void {
    this.#left.delete(resourceId);
  }
}
