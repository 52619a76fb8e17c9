// Bun's own HTTP server, and apps in workers: bun run bun.mjs PORT
import { answerFetch, isolates, webWorker } from "./isolates.mjs";

const ask = isolates(webWorker);
Bun.serve({ hostname: "127.0.0.1", port: Number(process.argv[2]), fetch: (request) => answerFetch(ask, request) });
