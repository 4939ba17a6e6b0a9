// What the page tells of one row below its line in the table: picture, checks, features, decisions.
"use strict";
report.patient = (() => {
  const { element, data } = report;
  const SVG = "http://www.w3.org/2000/svg";
  const WIDTH = 200, HEIGHT = 14;
  const YES_OR_NO = "yes or no"; // the unit of an answer

  // Texts of the library name parameters in backticks; they are shown as code.
  function marked(text) {
    const parts = text.split(/`([^`]+)`/);
    return parts.map((part, i) => (i % 2 ? element("code", {}, part) : part));
  }

  function shape(name, attributes) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  }

  function number(value, unit, digits = unit === "%" ? 3 : 4) { // three, as in messages
    if (unit === YES_OR_NO) return value ? "yes" : "no";
    const shown = unit === "%" ? value * 100 : value;
    const text = Number(shown.toPrecision(digits)).toLocaleString("en", { maximumFractionDigits: 4 });
    return unit ? `${text} ${unit}` : text;
  }

  function expected([failBelow, warnBelow, warnAbove, failAbove], unit) {
    if (unit === YES_OR_NO) return "no";
    const low = warnBelow ?? failBelow, high = warnAbove ?? failAbove;
    const plain = (value) => number(value, unit).replace(` ${unit}`, "");
    if (low === null && high === null) return "any";
    if (low === null) return `at most ${number(high, unit)}`;
    if (high === null) return `at least ${number(low, unit)}`;
    return low < 0 ? `${plain(low)} to ${number(high, unit)}` : `${plain(low)}–${number(high, unit)}`;
  }

  function outside([failBelow, warnBelow, warnAbove, failAbove], value) {
    const low = warnBelow ?? failBelow, high = warnAbove ?? failAbove;
    return (low !== null && value < low) || (high !== null && value > high);
  }

  // A value outside of its limits, with as many digits as it takes to see that.
  function outsideNumber(limits, value, unit) {
    const text = number(value, unit);
    return limits.some((limit) => limit !== null && number(limit, unit) === text) ? number(value, unit, 7) : text;
  }

  // Where a value lies among the limits: red fails, orange warns, green passes.
  function ruler(limits, value, share) {
    const known = limits.filter((limit) => limit !== null);
    if (!known.length) return "";
    let low = Math.min(...known, value), high = Math.max(...known, value);
    const room = (high - low || Math.abs(high) || 1) * 0.15;
    low -= room; high += room;
    if (share) { low = Math.max(low, 0); high = Math.min(high, 1); }
    const x = (at) => ((Math.min(Math.max(at, low), high) - low) / (high - low)) * WIDTH;
    const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true", preserveAspectRatio: "none" });
    const [failBelow, warnBelow, warnAbove, failAbove] = limits;
    const edges = [
      [low, failBelow ?? low, "far"],
      [failBelow ?? low, warnBelow ?? failBelow ?? low, "near"],
      [warnBelow ?? failBelow ?? low, warnAbove ?? failAbove ?? high, "ok"],
      [warnAbove ?? failAbove ?? high, failAbove ?? high, "near"],
      [failAbove ?? high, high, "far"],
    ];
    for (const [from, to, kind] of edges) {
      if (to > from) svg.append(shape("rect", { class: `range ${kind}`, x: x(from), y: 4, width: x(to) - x(from), height: 6 }));
    }
    svg.append(shape("rect", { class: "mark", x: Math.min(Math.max(x(value) - 1.5, 0), WIDTH - 3), y: 0, width: 3, height: HEIGHT }));
    return svg;
  }

  function table(caption, heads, rows) {
    const head = element("tr", {}, ...heads.map(([text, kind]) => element("th", { scope: "col", class: kind }, text)));
    return element("div", {}, element("h3", {}, caption),
      element("table", { class: "values" }, element("thead", {}, head), element("tbody", {}, ...rows)));
  }

  function checks(row) {
    if (!row.c) return null;
    const lines = [];
    data.checks.forEach(([name, unit, about], i) => {
      const value = row.c[i], limits = data.limits[row.k][i];
      if (value === null) return;
      const judged = limits !== null;
      const strange = judged && outside(limits, value);
      lines.push(element("tr", {},
        element("th", { scope: "row", class: strange ? "outside" : null }, `${about}: ${name}`),
        element("td", { class: `n${strange ? " outside" : ""}` }, strange ? outsideNumber(limits, value, unit) : number(value, unit)),
        element("td", { class: "n" }, judged ? expected(limits, unit) : "not judged"),
        element("td", {}, judged && unit !== YES_OR_NO ? ruler(limits, value, unit === "%") : "")));
    });
    return lines.length ? table("Checks", [["what"], ["value", "n"], ["expected", "n"], ["where it lies"]], lines) : null;
  }

  function percentile(rank) {
    const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true", preserveAspectRatio: "none" });
    svg.append(shape("rect", { class: "range", x: 0, y: 4, width: WIDTH, height: 6 }),
      shape("rect", { class: "mark", x: (rank / 100) * (WIDTH - 3), y: 0, width: 3, height: HEIGHT }));
    return svg;
  }

  function features(row) {
    if (!row.f) return null;
    const lines = data.features.flatMap(([name, family, unit, original], i) => row.f[i] === null ? [] : [
      element("tr", { title: original },
        element("th", { scope: "row" }, `${name} `, element("small", {}, family)),
        element("td", { class: "n" }, number(row.f[i], unit)),
        element("td", { class: "n" }, row.q && row.q[i] !== null ? `${row.q[i]}` : ""),
        element("td", {}, row.q && row.q[i] !== null ? percentile(row.q[i]) : "")),
    ]);
    const made = table("Features", [["what"], ["value", "n"], ["percentile", "n"], ["in the cohort"]], lines);
    if (!row.q) {
      made.append(element("p", { class: "note" }, "Percentiles are among usable rows, and given once a region has five."));
    }
    return made;
  }

  function facts(row) {
    const known = [...(row.a ?? [])];
    if (row.w) known.unshift(["mask", row.w]);
    if (row.l) known.push(["labels", row.l]);
    if (row.g) known.push(["grid of the features", `${row.g.replaceAll(" ", "×")} mm`]);
    if (!known.length) return null;
    const list = element("dl", {});
    for (const [name, value] of known) list.append(element("dt", {}, name), element("dd", {}, value));
    return element("div", {}, element("h3", {}, "Scan and mask"), list);
  }

  function decisions(row) {
    if (!row.d) return null;
    const lines = row.d.map((each) => element("p", {},
      element("b", {}, each.holds ? each.decision : `${each.decision} (of an earlier mask)`),
      ` ${[each.reason, each.by, each.at].filter(Boolean).join(" · ")}`));
    return element("div", {}, element("h3", {}, "Decisions"), ...lines);
  }

  function verdict(row) {
    const parts = [];
    if (row.m) parts.push(element("p", { class: `message ${row.s}` }, ...marked(row.m)));
    for (const code of row.r ?? []) {
      const [happened, remedy] = data.reasons[code];
      parts.push(element("p", { class: `message ${row.s}` }, element("code", {}, code), " ", ...marked(happened), ". ",
        element("br"), "What to do: ", ...marked(remedy), "."));
    }
    return parts.length ? element("div", {}, element("h3", {}, "Verdict"), ...parts) : null;
  }

  function make(row, number) {
    return element("div", { class: "patient", role: "region", "aria-label": row.id.filter(Boolean).join(" ") },
      report.figure.make(row, number), verdict(row), decisions(row),
      element("div", { class: "columns" }, checks(row), features(row), facts(row)));
  }

  return { make };
})();
