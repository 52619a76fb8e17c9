// The app as a worker of its own, without a front.
import { answer } from "./app.mjs";

const PREFIX = "/apps/hello";

export default {
  async fetch(request) {
    const { pathname } = new URL(request.url);
    if (!pathname.startsWith(PREFIX)) return new Response("", { status: 404 });
    const { status, headers, body } = answer({ method: request.method, path: pathname.slice(PREFIX.length) });
    return new Response(body, { status, headers });
  },
};
