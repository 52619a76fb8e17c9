(page) => {
  "use strict";
  document.currentScript?.remove();

  // Of the terminal, as the compiler's words are its.
  const css = `
    :host { position: fixed; inset: 0; z-index: 2147483647; overflow: auto; background: rgb(15 20 24 / 96%); }
    main { box-sizing: border-box; max-width: 72rem; margin: 0 auto; padding: 2rem 1.5rem; color: #e5e7eb;
      font: 14px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
    h1 { margin: 0; padding: 0 3rem .75rem 0; color: #f87171; font: 600 1.25rem/1.4 system-ui, sans-serif; }
    pre { margin: 0; padding: 1rem 0; border-top: 2px solid #f87171; white-space: pre-wrap; overflow-wrap: anywhere;
      font: inherit; tab-size: 4; }
    p { margin: 0; color: #9ca3af; font: 0.875rem/1.5 system-ui, sans-serif; }
    button { float: right; padding: .25rem .75rem; border: 1px solid #6b7280; border-radius: .375rem; cursor: pointer;
      background: none; color: inherit; font: 0.875rem/1.5 system-ui, sans-serif; }`;
  let overlay;
  let shown = "null";

  const element = (name, text, ...children) => {
    const made = document.createElement(name);
    made.textContent = text;
    made.append(...children);
    return made;
  };

  const piece = ({ text, color, bold, faint, italic, underline }) => {
    const span = element("span", text);
    if (color) span.style.color = color;
    if (bold) span.style.fontWeight = "bold";
    if (faint) span.style.opacity = "0.7";
    if (italic) span.style.fontStyle = "italic";
    if (underline) span.style.textDecoration = "underline";
    return span;
  };

  const hide = () => {
    overlay?.remove();
    overlay = undefined;
  };

  const show = (failure) => {
    // One that was closed stays so until it is another one.
    if (JSON.stringify(failure) === shown) return;
    shown = JSON.stringify(failure);
    hide();
    if (!failure) return;
    overlay = document.createElement("atoll-failure");
    overlay.setAttribute("role", "alertdialog");
    overlay.setAttribute("aria-label", failure.title);
    const root = overlay.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
    root.adoptedStyleSheets = [sheet];
    const close = element("button", "Close (Esc)");
    close.addEventListener("click", hide);
    const pre = element("pre", "", ...failure.text.map(piece));
    const note = element("p", "This goes away by itself when it is mended. Until then the version before serves, if there is one.");
    root.append(element("main", "", close, element("h1", failure.title), pre, note));
    document.documentElement.append(overlay);
  };

  addEventListener("keydown", (event) => {
    if (event.key === "Escape") hide();
  });

  const reload = (version) => {
    // A page that comes from a cache says the same version again: once is enough.
    const once = `${version} ${location.href}`;
    try {
      if (sessionStorage.getItem("atoll-live") === once) return;
      sessionStorage.setItem("atoll-live", once);
    } catch {
      // The page has no storage, and then mostly no cache.
    }
    location.reload();
  };

  const take = (state) => {
    // While the host starts again there is no version, and what is shown is better than nothing.
    if (state.version && state.version !== page.version && page.safe) reload(state.version);
    else show(state.failure);
  };

  let source;
  // A page that nobody sees follows nothing: browsers have few connections for each host.
  const connect = () => {
    if (document.visibilityState === "hidden") {
      source?.close();
      source = undefined;
    } else if (!source) {
      const following = new EventSource(`/.atoll/live?app=${encodeURIComponent(page.app)}`);
      source = following;
      following.addEventListener("state", (event) => take(JSON.parse(event.data)));
      following.addEventListener("error", () => {
        // The browser itself tries again when it was connected; when it was refused it does not.
        if (following.readyState !== EventSource.CLOSED || source !== following) return;
        source = undefined;
        setTimeout(connect, 1000);
      });
    }
  };

  show(page.failure);
  document.addEventListener("visibilitychange", connect);
  addEventListener("pageshow", connect);
  connect();
};
