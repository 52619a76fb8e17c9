// node's own HTTP server, and apps in `worker_threads`: node node.mjs PORT
import { createServer } from "node:http";
import { Worker } from "node:worker_threads";
import { find, isolates } from "./isolates.mjs";

const ask = isolates((onAnswer) => {
  const worker = new Worker(new URL("./node-worker.mjs", import.meta.url));
  worker.on("message", onAnswer);
  return worker;
});

createServer(async (request, response) => {
  const found = find(request.url);
  if (!found) {
    response.statusCode = 404;
    return response.end();
  }
  const { method, headers } = request;
  const answer = await ask(found.app, { method, path: found.path, headers });
  response.statusCode = answer.status;
  for (const name in answer.headers) response.setHeader(name, answer.headers[name]);
  response.end(answer.body);
}).listen(Number(process.argv[2]), "127.0.0.1");
