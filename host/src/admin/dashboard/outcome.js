// What came of what the operator did: shown, and read out.

import { setText } from "./dom.js";

const SHOWN_MS = 8000;
const box = document.getElementById("outcome");
const done = document.getElementById("done");
const failed = document.getElementById("failed");
let timer;

function show(text, error) {
  clearTimeout(timer);
  setText(done, text);
  setText(failed, error);
  box.classList.toggle("is-shown", Boolean(text || error));
}

document.getElementById("dismiss").addEventListener("click", () => show("", ""));

/** It is done. */
export function tellDone(text) {
  show(text, "");
  timer = setTimeout(() => show("", ""), SHOWN_MS);
}

/** It is not; this stays until it is dismissed, or something else is told. */
export const tellFailed = (text) => show("", text);
