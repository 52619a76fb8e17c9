import { answer } from "./app.mjs";

self.onmessage = ({ data: { id, request } }) => self.postMessage({ id, answer: answer(request) });
