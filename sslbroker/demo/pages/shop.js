"use strict";
// Shows which server answered, and buys without leaving the page. A purchase carries its own key, so
// trying it again, here or in the broker, never buys twice.

const served = document.getElementById("server");
const note = document.getElementById("note");
let hiding;

function say(text, bad) {
  note.textContent = text;
  note.classList.toggle("bad", Boolean(bad));
  note.hidden = false;
  clearTimeout(hiding);
  hiding = setTimeout(() => { note.hidden = true; }, 4000);
}

function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), byte => byte.toString(16).padStart(2, "0")).join("");
}

function serverOf(entry) {
  const timing = (entry && entry.serverTiming || []).find(one => one.name === "served-by");
  return timing && timing.description;
}

async function showServer() {
  const [page] = performance.getEntriesByType("navigation");
  let name = serverOf(page);
  if (!name) {  // timings are shown to secure pages only
    const answer = await fetch("/healthz", { cache: "no-store" });
    name = answer.headers.get("Served-By");
  }
  served.textContent = name || "a server";
}

function showTally() {
  const tally = document.getElementById("tally");
  const pictures = Array.from(document.querySelectorAll(".gallery img"));
  if (!tally || !pictures.length) return;
  const missing = pictures.filter(picture => !picture.complete || !picture.naturalWidth).length;
  const counts = new Map();
  for (const entry of performance.getEntriesByType("resource")) {
    const name = entry.name.includes("/images/") && serverOf(entry);
    if (name) counts.set(name, (counts.get(name) || 0) + 1);
  }
  const shares = Array.from(counts).sort().map(([name, count]) => `${count} from ${name}`);
  tally.textContent = `${pictures.length - missing} of ${pictures.length} pictures arrived` +
    (shares.length ? `: ${shares.join(", ")}.` : ".");
}

async function buy(event) {
  event.preventDefault();
  const form = event.currentTarget;
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const answer = await fetch("/orders", {
      method: "POST",
      headers: { "Content-Type": "application/json", "Idempotency-Key": newKey() },
      body: JSON.stringify({ product: Number(form.product.value), quantity: Number(form.quantity.value) }),
    });
    const order = await answer.json();
    if (!answer.ok) throw new Error(order.error);
    say(`Order ${order.number}: “${order.name}” is yours. Taken by ${order.taken_by}.`);
    served.textContent = answer.headers.get("Served-By") || served.textContent;
  } catch (error) {
    say(`That did not work: ${error.message}`, true);
  } finally {
    button.disabled = false;
  }
}

for (const form of document.querySelectorAll("form.buy")) form.addEventListener("submit", buy);
addEventListener("load", showTally);
showServer().catch(() => {});
