/** This process's streams, environment and signals in the form that the command line takes. */

/** A standard stream for text. Writing to a reader that has gone ends nothing: what cannot be written is dropped. */
export function textStream(stream: typeof Deno.stdout | typeof Deno.stderr) {
  const isTerminal = stream.isTerminal();
  const closed = Promise.withResolvers<void>();
  let isWatched = false;
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
    untilClosed(): Promise<void> {
      if (!isTerminal && !isWatched && Deno.build.os === "linux") {
        isWatched = true;
        const descriptor = stream === Deno.stdout ? 1 : 2;
        // Somebody who does not come back to write would not notice.
        import("../ffi/linux/reader.ts").then(({ untilReaderGone }) => untilReaderGone(descriptor))
          .then(closed.resolve);
      }
      return closed.promise;
    },
    write(text: string): void {
      let bytes: Uint8Array = new TextEncoder().encode(text);
      try {
        while (bytes.length > 0) bytes = bytes.subarray(stream.writeSync(bytes));
      } catch (error) {
        if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
        closed.resolve();
      }
    },
  };
}

/** Calls `handler` at each of the signals `names` until the returned function is called. */
export function listenSignals<Name extends Deno.Signal>(
  names: readonly Name[],
  handler: (name: Name) => void,
): () => void {
  const listeners = names.flatMap((name) =>
    signalsFor(name, Deno.build.os).map((signal) => [signal, () => handler(name)] as const)
  );
  for (const [name, listener] of listeners) Deno.addSignalListener(name, listener);
  return () => {
    for (const [name, listener] of listeners) Deno.removeSignalListener(name, listener);
  };
}

/**
 * Returns what `os` has for the signal `name`. Windows knows Ctrl+C, Ctrl+Break, and the end of the console, of which the
 * runtime tells by SIGHUP: both of these mean that the program is to end.
 */
export function signalsFor(name: Deno.Signal, os: typeof Deno.build.os): readonly Deno.Signal[] {
  if (os !== "windows") return [name];
  switch (name) {
    case "SIGINT":
    case "SIGBREAK":
      return [name];
    case "SIGTERM":
      return ["SIGBREAK", "SIGHUP"];
    default:
      return [];
  }
}
