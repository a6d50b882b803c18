"use strict";
// Shows status.json, and again whenever it says something new. Names come from files, and files from anywhere:
// they only ever become text, or parts of addresses in which every character is escaped.

const EVERY = 3000; // ms between looks at status.json
const OLD = 600; // seconds without news after which the page warns
const PICTURES = ["picture", "zoom"];
const cards = new Map(); // by the name of the analyser
let status = null;
let ahead = 0; // ms that the clock of the server is ahead of ours

function element(tag, className, ...children) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...children);
  return made;
}

function setText(target, text) {
  target.textContent = text;
  target.hidden = !text;
}

/** An address below this page, whatever characters the path has. */
function address(path, version) {
  const parts = String(path).split("/").map(encodeURIComponent);
  return `./${parts.join("/")}?v=${encodeURIComponent(version || "")}`;
}

/** Seconds since a time as a person would say them. */
function ago(time) {
  const seconds = (Date.now() + ahead - Date.parse(time)) / 1000;
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 1) return "now";
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
    if (seconds >= 2 * size) return `${Math.floor(seconds / size)} ${unit} ago`;
  }
  return `${Math.floor(seconds)} s ago`;
}

function clock(time) {
  const parsed = new Date(time);
  return Number.isNaN(parsed.getTime()) ? "" : parsed.toISOString().replace("T", " ").slice(0, 19) + " UTC";
}

function newCard(name) {
  const card = { root: element("article", "analyser"), shown: {} };
  for (const part of ["state", "age"]) card[part] = element("span", part);
  for (const part of ["recording", "waiting", "error"]) card[part] = element("p", part);
  card.pictures = element("div", "pictures");
  card.root.append(
    element("div", "head", element("h2", "", name), card.state, card.age),
    card.recording, card.waiting, card.error, card.pictures,
  );
  document.getElementById("analysers").append(card.root);
  return card;
}

function showPicture(card, kind, name, latest) {
  const path = latest && latest[kind];
  const source = path ? address(path, latest.finished) : "";
  const before = card.shown[kind];
  if (before && before.source === source) return;
  const place = before ? before.place : element("div", kind);
  if (!before) card.pictures.append(place);
  card.shown[kind] = { source, place };
  if (!source) {
    place.replaceChildren(...(kind === "picture" ? [element("p", "missing", "No picture yet.")] : []));
    return;
  }
  const image = document.createElement("img");
  image.alt = `${kind === "zoom" ? "Zoomed spectrogram" : "Spectrogram"} of ${name}: ${latest.recording || ""}`;
  const link = element("a", "", image);
  link.href = source;
  // The picture before stays until this one is there.
  image.addEventListener("load", () => {
    if (card.shown[kind].source === source) place.replaceChildren(link);
  });
  image.addEventListener("error", () => {
    if (card.shown[kind].source !== source) return;
    place.replaceChildren(element("p", "missing", `The picture ${path} cannot be shown: it is missing or broken.`));
    card.shown[kind].source = null; // look again next time
  });
  image.src = source;
}

function showAnalyser(name, said) {
  if (!cards.has(name)) cards.set(name, newCard(name));
  const card = cards.get(name);
  const counts = said.counts || {};
  const words = { running: "in process", pending: "waiting", failed: "failed" };
  const parts = Object.keys(words).filter((key) => counts[key]).map((key) => `${counts[key]} ${words[key]}`);
  const state = counts.running || counts.pending ? "working" : counts.failed ? "failed" : "idle";
  card.state.className = `state ${state}`;
  setText(card.state, parts.join(", ") || (counts.done ? "up to date" : "nothing yet"));
  card.latest = said.latest;
  card.oldest = said.oldest_waiting;
  const error = said.last_error;
  setText(card.recording, said.latest
    ? `${said.latest.recording || ""}${said.latest.start ? `, recorded ${clock(said.latest.start)}` : ""}` : "");
  setText(card.error, error ? `${error.recording || ""}: ${error.error || ""} (${clock(error.time)})` : "");
  for (const kind of PICTURES) showPicture(card, kind, name, said.latest);
}

function showFailures(failures) {
  document.getElementById("failures").hidden = !failures.length;
  const rows = failures.map((failure) => {
    const next = failure.next_try ? clock(failure.next_try) : "";
    const texts = [failure.analyser, failure.recording, failure.error, failure.attempts, next];
    return element("tr", "", ...texts.map((text) => element("td", "", String(text ?? ""))));
  });
  document.querySelector("#failures tbody").replaceChildren(...rows);
}

function show() {
  const analysers = status.analysers || {};
  for (const name of Object.keys(analysers).sort()) showAnalyser(name, analysers[name]);
  for (const [name, card] of cards) {
    if (name in analysers) continue;
    card.root.remove();
    cards.delete(name);
  }
  showFailures(status.failures || []);
}

/** What changes by itself: ages. */
function tick() {
  if (!status) return;
  const service = status.service || {};
  const counts = status.counts || {};
  const numbers = ["done", "running", "pending", "failed"].map((name) => `${counts[name] || 0} ${name}`);
  setText(document.getElementById("service"), `${service.state || "unknown"} (${ago(service.updated)}): ${numbers.join(", ")}`);
  for (const card of cards.values()) {
    setText(card.age, card.latest ? ago(card.latest.finished) : "");
    setText(card.waiting, card.oldest ? `The oldest that waits came ${ago(card.oldest)}.` : "");
  }
  const silent = (Date.now() + ahead - Date.parse(service.updated)) / 1000;
  if (silent > OLD) trouble(`No news from the service since ${clock(service.updated)}: is it running?`);
}

function trouble(text) {
  setText(document.getElementById("trouble"), text);
}

async function look() {
  try {
    const answer = await fetch("./status.json", { cache: "no-store" });
    if (!answer.ok) throw new Error(`the server answers ${answer.status}`);
    const date = Date.parse(answer.headers.get("Date"));
    status = await answer.json();
    if (Number.isFinite(date)) ahead = Math.abs(date - Date.now()) > 2000 ? date - Date.now() : 0;
    trouble("");
    show();
  } catch (error) {
    trouble(`status.json cannot be read: ${error.message}`);
  }
  tick();
  setTimeout(look, EVERY);
}

setInterval(tick, 1000);
look();
