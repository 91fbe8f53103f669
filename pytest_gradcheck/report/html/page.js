"use strict";
// The filter by group and text, and points as tabs. Without this script all is shown.
document.documentElement.classList.add("scripted");

const tests = [...document.querySelectorAll("details.test")];
const buttons = [...document.querySelectorAll("#filter button")];
const input = document.querySelector("#filter input");
const shown = document.querySelector("#shown");
let group = "all";

function filter() {
  const text = input.value.toLowerCase();
  let count = 0;
  for (const test of tests) {
    const fits = (group === "all" || test.dataset.group === group) &&
      test.textContent.toLowerCase().includes(text);
    test.hidden = !fits;
    count += fits;
  }
  shown.textContent = count + " of " + tests.length + " tests";
}

for (const button of buttons) {
  button.addEventListener("click", () => {
    group = button.dataset.group;
    for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
    filter();
  });
}
input.addEventListener("input", filter);
filter();

for (const points of document.querySelectorAll(".points")) {
  const panels = [...points.querySelectorAll(":scope > .point")];
  const tabs = document.createElement("div");
  tabs.className = "tabs";
  tabs.setAttribute("role", "tablist");
  tabs.setAttribute("aria-label", "points");
  const select = (chosen, focus) => {
    panels.forEach((panel, k) => {
      panel.hidden = k !== chosen;
      tabs.children[k].setAttribute("aria-selected", String(k === chosen));
      tabs.children[k].tabIndex = k === chosen ? 0 : -1;
    });
    if (focus) tabs.children[chosen].focus();
  };
  panels.forEach((panel, k) => {
    const tab = document.createElement("button");
    tab.type = "button";
    tab.id = panel.id + "-tab";
    tab.textContent = panel.dataset.name;
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", panel.id);
    panel.setAttribute("role", "tabpanel");
    tab.addEventListener("click", () => select(k, false));
    tab.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (by) select((k + by + panels.length) % panels.length, true);
    });
    tabs.append(tab);
  });
  points.prepend(tabs);
  select(0, false);
}
