/** A small HTTP service for the tests: `deno run -A web.ts PORT…`. `/` says who asked, `/bytes/N` sends N bytes, `/slow/N` N lines, ten a second. */

let starting = Deno.args.length;
for (const port of Deno.args) {
  const onListen = () => {
    if (--starting === 0) console.log("ready");
  };
  Deno.serve({ port: Number(port), hostname: "::", onListen }, (request, info) => {
    const [, kind, count] = new URL(request.url).pathname.split("/");
    if (kind === "bytes") return new Response(new Uint8Array(Number(count)).fill(0x66));
    if (kind === "slow") return new Response(lines(Number(count)));
    return new Response(`hello ${info.remoteAddr.hostname}\n`);
  });
}

function lines(count: number): ReadableStream<Uint8Array> {
  let sent = 0;
  return new ReadableStream({
    async pull(controller) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      if (sent === count) return controller.close();
      controller.enqueue(new TextEncoder().encode(`line ${++sent}\n`));
    },
  });
}
