// Apps, each in a worker that is started when it is asked for first, and spoken to by postMessage.

const TARGET = /^\/apps\/(hello|cold-\d+)(\/[^?]*)/;

// The app and the path below it that a request's target names.
export function find(target) {
  const found = TARGET.exec(target);
  return found && { app: found[1], path: found[2] };
}

// `start(onAnswer)` makes a worker that gives its messages to `onAnswer`.
export function isolates(start) {
  const running = new Map();
  return (app, request) => {
    let isolate = running.get(app);
    if (isolate === undefined) {
      const waiting = new Map();
      const worker = start(({ id, answer }) => {
        waiting.get(id)(answer);
        waiting.delete(id);
      });
      isolate = { worker, waiting, next: 0 };
      running.set(app, isolate);
    }
    const id = isolate.next++;
    return new Promise((resolve) => {
      isolate.waiting.set(id, resolve);
      isolate.worker.postMessage({ id, request });
    });
  };
}

// A worker as the web has it, which Deno and Bun have too.
export function webWorker(onAnswer) {
  const worker = new Worker(new URL("./web-worker.mjs", import.meta.url), { type: "module" });
  worker.onmessage = ({ data }) => onAnswer(data);
  return worker;
}

// A server's answer to a request as the web has it.
export async function answerFetch(ask, request) {
  const found = find(new URL(request.url).pathname);
  if (!found) return new Response("", { status: 404 });
  const { method, headers } = request;
  const answer = await ask(found.app, { method, path: found.path, headers: Object.fromEntries(headers) });
  return new Response(answer.body, { status: answer.status, headers: answer.headers });
}
