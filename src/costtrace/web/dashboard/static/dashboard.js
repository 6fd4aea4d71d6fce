"use strict";
// Keeps the page true while entries arrive: asks every few seconds whether anything was stored, and then for the parts
// that are older than that. Nothing is asked while nobody looks.

const every = 4000;
const slowest = 60000;
const moves = 300000; // "the last 24 hours" are others after a while, also where nothing is stored
const live = document.getElementById("live");
let known = null; // a text: there are ledgers whose numbers are greater than those that scripts count with
let first = null; // of what the page showed when it came
let delay = every;
let timer = 0;

const opened = Date.now();
const loaded = new Map();
const clock = () => new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });

function say(state, text) {
  if (live === null) return;
  live.className = "live " + state;
  live.textContent = text;
}

function versionOf(part) {
  const marked = part.querySelector("[data-seq]");
  return marked === null ? null : marked.dataset.seq;
}

// What a reader has opened, scrolled to and stands on is where it was when the new numbers are in.
function replace(part, html) {
  const focusable = "a, button, input, summary, [tabindex]";
  const places = [...part.querySelectorAll(focusable)];
  const at = places.indexOf(document.activeElement);
  const open = [...part.querySelectorAll("details")].map((one) => one.open);
  const scrolled = [...part.querySelectorAll(".scroll")].map((one) => [one.scrollLeft, one.scrollTop]);
  const drawn = part.querySelector("[data-chart] svg");
  part.innerHTML = html;
  part.querySelectorAll("details").forEach((one, index) => { one.open = open[index] ?? one.open; });
  part.querySelectorAll(".scroll").forEach((one, index) => {
    if (scrolled[index]) [one.scrollLeft, one.scrollTop] = scrolled[index];
  });
  const chart = part.querySelector("[data-chart]");
  if (chart !== null && drawn !== null) chart.replaceChildren(drawn); // until the new one is there
  if (at >= 0) [...part.querySelectorAll(focusable)][at]?.focus({ preventScroll: true });
}

function isBeingRead(part) {
  const selection = document.getSelection();
  return selection !== null && !selection.isCollapsed && part.contains(selection.anchorNode);
}

async function load(part) {
  if (part.dataset.loading === "yes" || isBeingRead(part)) return;
  part.dataset.loading = "yes";
  try {
    const answer = await fetch(part.dataset.source, { headers: { accept: "text/html" } });
    if (answer.status === 401) return ended();
    const html = await answer.text();
    if (answer.ok || versionOf(part) === null) replace(part, html);
    if (answer.ok) loaded.set(part, Date.now());
    delete part.dataset.version;
    part.removeAttribute("aria-busy");
    for (const chart of part.querySelectorAll("[data-chart]")) draw(chart);
  } catch {
    // No answer: the next question finds out whether there is one again.
  } finally {
    delete part.dataset.loading;
  }
}

async function draw(figure) {
  const width = Math.max(240, Math.floor(figure.clientWidth / 20) * 20);
  const wanted = figure.dataset.chart + "&w=" + width;
  if (figure.dataset.drawn === wanted + figure.dataset.chartSeq || figure.dataset.drawing) return;
  figure.dataset.drawing = "yes";
  try {
    const answer = await fetch(wanted);
    if (!answer.ok) {
      figure.textContent = "The chart cannot be drawn here; the numbers below are whole.";
      figure.className = "note";
      figure.closest(".card")?.querySelector("details.numbers")?.setAttribute("open", "");
      return;
    }
    const svg = new DOMParser().parseFromString(await answer.text(), "image/svg+xml").documentElement;
    figure.replaceChildren(document.importNode(svg, true));
    figure.dataset.drawn = wanted + figure.dataset.chartSeq;
  } catch {
    // As above.
  } finally {
    delete figure.dataset.drawing;
  }
}

function ended() {
  say("off", "not let in any more: open the link that costtrace serve prints");
  delay = slowest;
}

async function look() {
  clearTimeout(timer);
  if (document.hidden) return; // goes on when somebody looks again
  try {
    const answer = await fetch("/live", known === null ? {} : { headers: { "if-none-match": known } });
    if (answer.status === 401) ended();
    else if (answer.ok || answer.status === 304) {
      if (answer.ok) known = answer.headers.get("etag");
      delay = every;
      first ??= known;
      await refresh();
      tell();
    } else throw new Error(answer.status);
  } catch {
    delay = Math.min(delay * 2, slowest);
    say("off", "no answer since " + clock() + ", trying again");
  }
  timer = setTimeout(look, delay);
}

const parts = () => [...document.querySelectorAll("[data-part][data-live]")];

function isNew(part) {
  const version = versionOf(part);
  return version === "-1" || `"${version}"` === known; // -1: it changes without an entry
}

function isOld(part) {
  return !isNew(part) || versionOf(part) === "-1" || Date.now() - (loaded.get(part) ?? opened) > moves;
}

function tell() {
  if (parts().length === 0) {
    if (known === first) say("on", "nothing newer, " + clock());
    else say("off", "newer entries were stored since: reload to count them");
  } else if (parts().every(isNew)) say("on", "live, " + clock());
  else say("off", "newer entries are being added up, " + clock());
}

async function refresh() {
  if (known !== '"0"' && document.querySelector("[data-empty]") !== null) return location.reload();
  const problems = document.getElementById("problems");
  if (problems !== null && Math.random() < 0.2) load(problems); // they change without an entry
  await Promise.all(parts().filter(isOld).map(load));
}

// What a bar says when it is pointed at.
const tip = document.createElement("div");
tip.className = "tip";
tip.hidden = true;
document.addEventListener("pointermove", (event) => {
  const mark = event.target instanceof Element ? event.target.closest(".chart .role-mark [aria-label]") : null;
  tip.hidden = mark === null;
  if (mark === null) return;
  tip.textContent = mark.getAttribute("aria-label");
  const left = Math.min(event.clientX + 14, document.documentElement.clientWidth - tip.offsetWidth - 8);
  tip.style.transform = `translate(${Math.max(8, left)}px, ${event.clientY + 18}px)`;
});

document.addEventListener("click", (event) => {
  const part = event.target instanceof Element && event.target.matches("[data-again]") ? event.target.closest("[data-part]") : null;
  if (part !== null) load(part);
});

// A custom time is one: the word for the time before it is left out.
for (const input of document.querySelectorAll(".choose [name=since], .choose [name=until]")) {
  input.addEventListener("input", () => {
    const range = input.form.querySelector("[data-range]");
    if (range !== null) range.disabled = [...input.form.querySelectorAll("[name=since], [name=until]")].some((one) => one.value);
  });
}
for (const form of document.querySelectorAll(".choose")) {
  form.addEventListener("submit", () => {
    for (const input of form.querySelectorAll("input")) if (input.value === "") input.disabled = true;
  });
}
window.addEventListener("pageshow", () => {
  for (const input of document.querySelectorAll(".choose input:disabled")) input.disabled = false;
});
const zones = document.getElementById("zones");
if (zones !== null && Intl.supportedValuesOf) {
  zones.append(...["UTC", ...Intl.supportedValuesOf("timeZone")].map((name) => new Option(name, name)));
}

let resized = 0;
window.addEventListener("resize", () => {
  clearTimeout(resized);
  resized = setTimeout(() => document.querySelectorAll("[data-chart]").forEach(draw), 200);
});
document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
document.body.append(tip);
document.querySelectorAll("[data-chart]").forEach(draw);
document.querySelectorAll('[data-part][data-version=""]').forEach(load);
if (live !== null) look();
else clearTimeout(timer);
