// A row's picture: the slices, with the drawn contour or the measured grid on top.
"use strict";
report.element = (name, attributes = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
};

report.figure = (() => {
  const { element } = report;
  const NAMES = { contour: "mask as drawn", measured: "measured grid", none: "no contour" };
  let chosen = "contour"; // for all patients, so that going through them is quick

  function choices(row) {
    return ["contour", "measured"].filter((kind) => row.p[kind]).concat("none");
  }

  function shownFor(row) {
    return choices(row).includes(chosen) ? chosen : choices(row)[0];
  }

  function layer(row, kind) {
    return element("img", {
      src: row.p[kind], alt: "", loading: "lazy", decoding: "async", "data-layer": kind,
      hidden: kind !== shownFor(row),
    });
  }

  function legend(row, number) {
    const group = element("fieldset", { class: "layer-choice" },
      element("legend", { class: "hidden" }, "What lies on the slices"));
    for (const kind of choices(row)) {
      const input = element("input", {
        type: "radio", name: `layer-${number}`, value: kind, checked: kind === shownFor(row),
      });
      const key = kind === "none" ? null : element("span", { class: `key ${kind}` });
      const size = kind === "measured" && row.g ? ` (${row.g.replaceAll(" ", "×")} mm)` : "";
      group.append(element("label", {}, input, key, NAMES[kind] + size));
    }
    if (row.p.measured) {
      group.append(element("span", { class: "note" }, element("span", { class: "key taken" }),
        " in it: voxels that re-segmentation took out"));
    }
    group.addEventListener("change", (event) => {
      chosen = event.target.value;
      update();
    });
    return group;
  }

  function update() {
    for (const figure of document.querySelectorAll(".picture-of-row")) {
      const shown = shownFor(report.data.rows[figure.dataset.n]);
      for (const img of figure.querySelectorAll("[data-layer]")) {
        img.hidden = img.dataset.layer !== shown;
      }
      for (const input of figure.querySelectorAll("input")) input.checked = input.value === shown;
    }
  }

  function next() {
    const open = document.querySelector(".picture-of-row");
    if (!open) return;
    const row = report.data.rows[open.dataset.n];
    const all = choices(row);
    chosen = all[(all.indexOf(shownFor(row)) + 1) % all.length];
    update();
  }

  function make(row, number) {
    if (!row.p) {
      return element("p", { class: "note" }, row.u
        ? "There is no picture of this row, as its scan was not read; the reason says why."
        : "There is no picture of this row: it was made without pictures, or its mask has changed since. "
          + "The same command, given again, makes one if it finds the scan where it was.");
    }
    const about = `Slices of ${row.id.filter(Boolean).join(" ")}`;
    const stack = element("div", { class: "stack" },
      element("img", {
        src: row.p.slices, alt: about, loading: "lazy", decoding: "async", width: 1440, height: 800,
      }));
    for (const kind of choices(row)) if (kind !== "none") stack.append(layer(row, kind));
    const figure = element("div", { class: "picture-of-row", "data-n": number },
      element("div", { class: "layers", tabindex: 0, role: "group", "aria-label": about }, stack));
    if (choices(row).length > 1) figure.append(legend(row, number));
    return figure;
  }

  return { make, next };
})();
