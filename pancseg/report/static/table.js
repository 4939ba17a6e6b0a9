// The table of rows: sort, filter, open and close.
"use strict";
report.table = (() => {
  const { element, data } = report;
  const body = document.querySelector("#rows tbody");
  const lines = [...body.querySelectorAll(".row")];
  const columns = document.querySelectorAll("#rows thead th").length;
  const find = document.getElementById("find"), status = document.getElementById("status");
  const reason = document.getElementById("reason"), region = document.getElementById("region");
  const shown = document.getElementById("shown");
  const ORDER = ["error", "fail", "warn", "pass"];
  const texts = lines.map((line) => {
    const row = data.rows[line.dataset.n];
    const comments = (row.d ?? []).map((each) => `${each.decision} ${each.reason} ${each.by}`);
    return [...row.id, row.s, ...(row.r ?? []), row.m ?? "", row.w ?? "", ...comments].join(" ").toLowerCase();
  });

  const rowOf = (line) => data.rows[line.dataset.n];
  const detailOf = (line) => line.nextElementSibling?.classList.contains("detail") ? line.nextElementSibling : null;
  const visible = () => [...body.querySelectorAll(".row")].filter((line) => !line.hidden);

  function open(line) {
    if (detailOf(line)) return;
    const detail = element("tr", { class: "detail" },
      element("td", { colspan: columns }, report.patient.make(rowOf(line), line.dataset.n)));
    line.after(detail);
    line.querySelector(".open").setAttribute("aria-expanded", "true");
  }

  function close(line) {
    detailOf(line)?.remove();
    line.querySelector(".open").setAttribute("aria-expanded", "false");
  }

  function closeAll(but) {
    for (const line of lines) if (line !== but) close(line);
  }

  function toggle(line) {
    if (detailOf(line)) close(line);
    else { closeAll(); open(line); line.scrollIntoView({ block: "start" }); }
    mark(line);
  }

  function mark(line) {
    body.querySelector(".current")?.classList.remove("current");
    line.classList.add("current");
  }

  function filter() {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const line of lines) {
      const row = rowOf(line);
      const ok = words.every((word) => texts[line.dataset.n].includes(word))
        && (!status.value || (status.value === "look" ? "look" in line.dataset : row.s === status.value))
        && (!reason.value || (row.r ?? []).includes(reason.value))
        && (!region?.value || row.id[2] === region.value);
      line.hidden = !ok;
      if (!ok) close(line);
      count += ok;
    }
    shown.value = count === lines.length ? `${count} rows` : `${count} of ${lines.length} rows`;
  }

  function value(line, index, kind) {
    const text = line.cells[index].textContent.trim();
    if (kind === "number") return text === "" ? null : Number(text);
    return kind === "status" ? ORDER.indexOf(text) : text;
  }

  function sort(head) {
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const each of document.querySelectorAll("#rows [aria-sort]")) each.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const kind = head.querySelector("button").dataset.sort, index = head.cellIndex;
    const collator = new Intl.Collator("en", { numeric: true });
    closeAll();
    const keyed = lines.map((line) => [value(line, index, kind), line]);
    keyed.sort(([a, one], [b, other]) => {
      if (a === null || b === null) return (a === null) - (b === null) || one.dataset.n - other.dataset.n;
      const order = typeof a === "string" ? collator.compare(a, b) : a - b;
      return (up ? order : -order) || one.dataset.n - other.dataset.n;
    });
    body.append(...keyed.map(([, line]) => line));
  }

  function only(select, wanted) {
    find.value = status.value = reason.value = "";
    if (region) region.value = "";
    select.value = wanted;
    filter();
    document.getElementById("patients").scrollIntoView();
  }

  for (const head of document.querySelectorAll("#rows [aria-sort]")) {
    head.querySelector("button").addEventListener("click", () => sort(head));
  }
  for (const input of [find, status, reason, region]) input?.addEventListener("input", filter);
  document.querySelector(".filters").addEventListener("reset", () => setTimeout(filter));
  document.querySelector(".filters").addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("open-all").addEventListener("click", () => visible().forEach(open));
  for (const button of document.querySelectorAll("[data-status]")) {
    button.addEventListener("click", () => only(status, button.dataset.status));
  }
  for (const button of document.querySelectorAll("[data-reason]")) {
    button.addEventListener("click", () => only(reason, button.dataset.reason));
  }
  body.addEventListener("click", (event) => {
    const line = event.target.closest(".row");
    if (line && !window.getSelection().toString()) toggle(line);
  });
  return { visible, toggle, open, close, closeAll, mark, detailOf };
})();
