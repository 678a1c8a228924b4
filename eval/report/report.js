"use strict";
const images = JSON.parse(document.getElementById("images").textContent);
for (const img of document.querySelectorAll("img[data-image]")) img.src = images[img.dataset.image];

// Sliders set how much of the original is visible.
for (const slider of document.querySelectorAll(".pair input")) {
  const show = () => slider.parentNode.style.setProperty("--cut", slider.value + "%");
  slider.addEventListener("input", show);
  show(); // a reloaded page may have kept the slider's position
}
for (const button of document.querySelectorAll("button.switch"))
  button.addEventListener("click", () => {
    const on = button.closest("figure").classList.toggle("errors");
    button.setAttribute("aria-pressed", on);
    button.textContent = on ? "show the image" : "show the error";
  });

// Tables: a click on a heading sorts, a second one reverses; empty cells stay at the end.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  table.querySelectorAll("thead button").forEach((button, column) =>
    button.addEventListener("click", () => {
      const heading = button.closest("th");
      const up = heading.getAttribute("aria-sort") === "descending" ||
        (heading.getAttribute("aria-sort") !== "ascending" && heading.dataset.better !== "high");
      for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", up ? "ascending" : "descending");
      const value = (row) => row.cells[column].dataset.sort;
      const compare = (a, b) => {
        if (a === "" || b === "") return (a === "") - (b === "");
        const [x, y] = [Number(a), Number(b)];
        const order = Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x < y ? -1 : x > y ? 1 : 0;
        return up ? order : -order;
      };
      body.append(...[...body.rows].sort((a, b) => compare(value(a), value(b))));
    }));
}

// Compare any two reconstructions of the same sample, one on top of the other.
const compare = document.getElementById("compare-data");
if (compare) {
  const samples = JSON.parse(compare.textContent);
  const widget = document.querySelector(".compare");
  const [left, right] = widget.querySelectorAll("select");
  const [below, above] = widget.querySelectorAll(".pair img");
  const [leftTag, rightTag] = widget.querySelectorAll(".tag");
  const buttons = [...widget.querySelectorAll(".thumbs button")];
  let key = Object.keys(samples)[0];
  const show = () => {
    const versions = samples[key];
    below.src = images[versions[left.value] ?? versions.original];
    above.src = images[versions[right.value] ?? versions.original];
    leftTag.textContent = left.selectedOptions[0].textContent;
    rightTag.textContent = right.selectedOptions[0].textContent;
    for (const button of buttons) button.setAttribute("aria-pressed", button.dataset.key === key);
  };
  left.addEventListener("change", show);
  right.addEventListener("change", show);
  for (const button of buttons) button.addEventListener("click", () => { key = button.dataset.key; show(); });
  show();
}
