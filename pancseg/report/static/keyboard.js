// Keys: go through the patients without a mouse.
"use strict";
(() => {
  const { table } = report;

  function step(by) {
    const all = table.visible();
    if (!all.length) return;
    const current = document.querySelector("#rows .current");
    const at = all.indexOf(current);
    const next = all[at < 0 ? 0 : Math.min(Math.max(at + by, 0), all.length - 1)];
    const opened = current && table.detailOf(current);
    if (opened) { table.closeAll(next); table.open(next); }
    table.mark(next);
    next.querySelector(".open").focus({ preventScroll: true });
    next.scrollIntoView({ block: opened ? "start" : "nearest" });
  }

  function closeCurrent() {
    table.closeAll();
    document.querySelector("#rows .current .open")?.focus();
  }

  const KEYS = {
    j: () => step(1),
    k: () => step(-1),
    m: () => report.figure.next(),
    t: () => report.theme.toggle(),
    "/": () => document.getElementById("find").focus(),
    Escape: closeCurrent,
  };

  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input[type=search], select, textarea");
    if (event.ctrlKey || event.metaKey || event.altKey || (typing && event.key !== "Escape")) return;
    if (typing) { event.target.blur(); return; }
    const act = KEYS[event.key];
    if (act) { event.preventDefault(); act(); }
  });
})();
