// The token that the host asks for: for changes, and on addresses that other machines can reach for everything. It lives as long as the tab.

import { h } from "./dom.js";
import { open } from "./dialog.js";

const KEY = "atoll-admin-token";

/** The token that was given, if any. */
export const token = () => sessionStorage.getItem(KEY);

let asking = null;

/**
 * Asks for the token, once for all requests that want it. `refused` is the one that the host has just refused.
 * Resolves to whether there is another one now.
 */
export function askToken(refused) {
  if (token() !== refused) return Promise.resolve(true);
  asking ??= ask(refused !== null).finally(() => {
    asking = null;
  });
  return asking;
}

async function ask(wasWrong) {
  const input = h("input", { id: "token", type: "password", autocomplete: "off", required: true, "aria-describedby": "token-help" });
  const help = wasWrong
    ? "Invalid token. Enter the text in the host's --admin-token-file, or a token of `atoll token create`."
    : "This requires a token: the text in the host's --admin-token-file, or a token of `atoll token create`. This tab keeps it until you close it.";
  const agreed = await open("Admin token", [
    h("p", { id: "token-help", role: wasWrong ? "alert" : null }, help),
    h("label", { for: "token" }, "Token"),
    input,
  ], { confirm: "Use it", first: input });
  if (agreed) sessionStorage.setItem(KEY, input.value.trim());
  else if (wasWrong) sessionStorage.removeItem(KEY);
  return agreed;
}
