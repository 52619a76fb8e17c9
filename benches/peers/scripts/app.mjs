// The app: the same for every JavaScript runtime.

export function answer({ method, path }) {
  const greet = /^\/greet\/([^/]+)$/.exec(path);
  if (method !== "GET" || greet === null) return { status: 404, headers: {}, body: "" };
  const body = JSON.stringify({ name: decodeURIComponent(greet[1]) });
  return { status: 200, headers: { "content-type": "application/json" }, body };
}
