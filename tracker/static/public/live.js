// Sign in, connect, and show what arrives. Amounts stay the strings that the server sent.
"use strict";

const byId = (id) => document.getElementById(id);
const LONGEST_WAIT = 30000;
// After these there is nothing to come back to: see the close codes in /api/live-schema.
const FINAL = new Set([4400, 4403]);

let tokens = null;
let socket = null;
let failures = 0;
let refreshTimer = null;

function say(text) {
  byId("state").textContent = text;
}

async function post(path, body) {
  const answer = await fetch(`/api/v1${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  const content = await answer.json();
  if (!answer.ok) throw new Error(content.message);
  return content;
}

async function refresh() {
  tokens = await post("/auth/refresh", { refresh: tokens.refresh });
}

function send(message) {
  socket.send(JSON.stringify(message));
}

function connect() {
  socket = new WebSocket(byId("watched").dataset.stream);
  socket.onopen = () => send({ type: "authenticate", token: tokens.access });
  socket.onmessage = (event) => show(JSON.parse(event.data));
  socket.onclose = (event) => reconnect(event.code);
}

async function reconnect(code) {
  clearTimeout(refreshTimer);
  if (FINAL.has(code)) {
    say("The session has ended. Please sign in again.");
    byId("sign-in").hidden = false;
    byId("watched").hidden = true;
    return;
  }
  failures += 1;
  const wait = Math.min(500 * 2 ** failures, LONGEST_WAIT) * (0.5 + Math.random() / 2);
  say("Connection lost; trying again.");
  setTimeout(async () => {
    try {
      if (code === 4401 || code === 4407) await refresh();
      connect();
    } catch (problem) {
      reconnect(problem instanceof TypeError ? code : 4403); // TypeError: no network
    }
  }, wait);
}

function keepTokenFresh(expiresAt) {
  clearTimeout(refreshTimer);
  const wait = Math.max(new Date(expiresAt) - Date.now() - 60000, 1000);
  refreshTimer = setTimeout(async () => {
    try {
      await refresh();
      send({ type: "authenticate", token: tokens.access });
    } catch {
      // The server closes the connection when the token expires, and reconnect() goes on.
    }
  }, wait);
}

function cell(row, text) {
  row.insertCell().textContent = text ?? "–";
}

function showPrice(price) {
  const table = byId("prices");
  const id = `price-${price.asset}`;
  const row = byId(id) ?? table.insertRow();
  row.id = id;
  row.dataset.code = price.code;
  row.replaceChildren();
  cell(row, price.code);
  cell(row, price.price);
  cell(row, price.change_24h_percent === null ? null : `${price.change_24h_percent} %`);
  cell(row, price.status === "stale" ? `${price.as_of} (old)` : price.as_of);
}

function showPortfolio(message) {
  byId("total").textContent = message.total_value;
  byId("currency").textContent = message.currency;
  byId("portfolio-status").textContent = message.status;
}

function showSync(message) {
  const id = `sync-${message.connection}`;
  const item = byId(id) ?? byId("syncs").appendChild(document.createElement("li"));
  item.id = id;
  const parts = message.planned === null ? "" : `, ${message.done ?? 0} of ${message.planned}`;
  item.textContent = `${message.connection}: ${message.state}${parts}`;
}

function start(message) {
  failures = 0;
  say("Connected.");
  byId("sign-in").hidden = true;
  byId("watched").hidden = false;
  keepTokenFresh(message.expires_at);
  for (const channel of ["prices", "portfolio", "sync"]) send({ type: "subscribe", channel });
}

const HANDLERS = {
  authenticated: (message) => (byId("watched").hidden || failures ? start(message) : keepTokenFresh(message.expires_at)),
  price: (message) => message.prices.forEach(showPrice),
  portfolio: showPortfolio,
  sync: showSync,
  error: (message) => say(message.message),
};

function show(message) {
  HANDLERS[message.type]?.(message);
}

byId("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    tokens = await post("/auth/login", {
      email: byId("email").value,
      password: byId("password").value,
    });
    byId("password").value = "";
    connect();
  } catch (problem) {
    say(problem.message);
  }
});
