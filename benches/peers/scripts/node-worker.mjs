import { parentPort } from "node:worker_threads";
import { answer } from "./app.mjs";

parentPort.on("message", ({ id, request }) => parentPort.postMessage({ id, answer: answer(request) }));
