/** A worker that looks at the modes of all sockets below a folder, over and over, and reports each that it sees. */

/// <reference lib="webworker" />

declare const self: DedicatedWorkerGlobalScope;

self.onmessage = ({ data: folder }: MessageEvent<string>) => {
  const seen = new Set<string>();
  self.postMessage("watching");
  while (true) {
    try {
      for (const { name } of Deno.readDirSync(`${folder}/run`)) {
        const { mode, isSocket } = Deno.lstatSync(`${folder}/run/${name}`);
        const entry = `${name} ${(mode! & 0o777).toString(8)}`;
        if (!isSocket || seen.has(entry)) continue;
        seen.add(entry);
        self.postMessage(entry);
      }
    } catch {
      // It comes and goes.
    }
  }
};
