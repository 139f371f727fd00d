/** This process's streams, environment and signals in the form that the command line takes. */

/** A standard stream for text. Writing to a reader that has gone ends nothing: what cannot be written is dropped. */
export function textStream(stream: typeof Deno.stdout | typeof Deno.stderr) {
  const isTerminal = stream.isTerminal();
  let isClosed = false;
  const size = () => {
    if (!isTerminal) return undefined;
    try {
      return Deno.consoleSize();
    } catch {
      return undefined;
    }
  };
  return {
    isTerminal,
    get columns(): number | undefined {
      return size()?.columns;
    },
    get rows(): number | undefined {
      return size()?.rows;
    },
    get isClosed(): boolean {
      return isClosed;
    },
    write(text: string): void {
      let bytes: Uint8Array = new TextEncoder().encode(text);
      try {
        while (bytes.length > 0) bytes = bytes.subarray(stream.writeSync(bytes));
      } catch (error) {
        if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
        isClosed = true;
      }
    },
  };
}

/** Calls `handler` at each of the signals `names` until the returned function is called. */
export function listenSignals<Name extends Deno.Signal>(
  names: readonly Name[],
  handler: (name: Name) => void,
): () => void {
  const listeners = names.map((name) => [name, () => handler(name)] as const);
  for (const [name, listener] of listeners) Deno.addSignalListener(name, listener);
  return () => {
    for (const [name, listener] of listeners) Deno.removeSignalListener(name, listener);
  };
}
