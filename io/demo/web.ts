/** The web server of the demo: one page, whatever is asked. Run by itself: `deno run --allow-net web.ts PORT`. */

const PAGE = `<!doctype html>
<title>Intranet</title>
<h1>You reached the intranet</h1>
<p>This page came through a tunnel: no route leads from your network to this server.</p>
`;

Deno.serve(
  { port: Number(Deno.args[0]), hostname: "::", onListen: () => console.log("ready") },
  () => new Response(PAGE, { headers: { "content-type": "text/html; charset=utf-8" } }),
);
