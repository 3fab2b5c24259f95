"use strict";
// The chat: a WebSocket, or long polling where there is none. The number of the last message seen is
// kept, so after a broken connection any other server continues where the last one stopped.

const list = document.getElementById("messages");
const link = document.getElementById("link");
const form = document.getElementById("say");
let after = 0;
let socket = null;
let failures = 0;

function show(message) {
  if (message.number <= after) return;
  after = message.number;
  const item = document.createElement("li");
  const author = document.createElement("b");
  const server = document.createElement("small");
  author.textContent = message.author;
  server.textContent = `via ${message.taken_by}`;
  item.append(author, message.text, server);
  list.append(item);
  while (list.children.length > 500) list.firstChild.remove();
  list.scrollTop = list.scrollHeight;
}

function connect() {
  const url = new URL(`/chat/socket?after=${after}`, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  const opening = new WebSocket(url);
  opening.addEventListener("open", () => {
    socket = opening;
    failures = 0;
    link.textContent = "You are connected by WebSocket.";
  });
  opening.addEventListener("message", event => {
    const { message, error } = JSON.parse(event.data);
    if (message) show(message);
    if (error) say(error, true);
  });
  opening.addEventListener("close", () => {
    socket = null;
    failures += 1;
    if (failures < 3) setTimeout(connect, 100 * failures);
    else poll();
  });
}

async function poll() {
  link.textContent = "You are connected by long polling.";
  for (let pause = 0; ;) {
    try {
      const answer = await fetch(`/chat/messages?after=${after}`, { cache: "no-store" });
      if (!answer.ok) throw new Error(answer.status);
      const { messages, latest } = await answer.json();
      if (latest < after) after = 0;
      messages.forEach(show);
      pause = 0;
    } catch {
      pause = Math.min(5000, 2 * pause + 200);
      await new Promise(done => setTimeout(done, pause));
    }
  }
}

form.addEventListener("submit", async event => {
  event.preventDefault();
  const message = { author: form.author.value, text: form.text.value, key: newKey() };
  form.text.value = "";
  if (socket) {
    socket.send(JSON.stringify(message));
    return;
  }
  const answer = await fetch("/chat/messages", {
    method: "POST",
    headers: { "Content-Type": "application/json", "Idempotency-Key": message.key },
    body: JSON.stringify(message),
  });
  if (!answer.ok) say((await answer.json()).error, true);
});

connect();
