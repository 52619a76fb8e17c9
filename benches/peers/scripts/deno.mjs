// Deno's own HTTP server, and apps in workers: deno run deno.mjs PORT
import { answerFetch, isolates, webWorker } from "./isolates.mjs";

const ask = isolates(webWorker);
Deno.serve({ hostname: "127.0.0.1", port: Number(Deno.args[0]) }, (request) => answerFetch(ask, request));
