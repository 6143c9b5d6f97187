// The app's main flows against a running system. Each prints a line; the first fault ends it.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { Session, SignedOut } from "./client.js";
import { firstMessage } from "./live.js";

const { BASE_URL, LIVE_URL, API_KEY, API_SECRET, DEMO_EMAIL, DEMO_PASSWORD } = process.env;
assert(BASE_URL && LIVE_URL && API_KEY && API_SECRET && DEMO_EMAIL && DEMO_PASSWORD);

const person = { email: `${randomUUID()}@example.com`, password: "correct horse battery staple" };
const session = new Session(BASE_URL);
const { api } = session;

async function signUpAndIn() {
  const registered = await api.POST("/api/v1/auth/register", { body: person });
  assert.equal(registered.response.status, 202);
  assert.ok(registered.data?.message);
  const wrong = await api.POST("/api/v1/auth/login", {
    body: { ...person, password: "a wrong password" },
  });
  assert.equal(wrong.error?.code, "credentials_rejected");
  await signIn(session, person);
  const me = await api.GET("/api/v1/me");
  assert.equal(me.data?.email, person.email);
}

async function signIn(into: Session, who: typeof person) {
  const device = { device_name: "a test", platform: "ios" as const, app_version: "1.0" };
  const { data, error } = await into.api.POST("/api/v1/auth/login", { body: { ...who, device } });
  assert.ok(data, JSON.stringify(error));
  await into.store.write({ access: data.access, refresh: data.refresh });
}

async function connect(): Promise<string> {
  const body = { exchange: "binance", label: "", api_key: API_KEY!, api_secret: "wrong" };
  const refused = await api.POST("/api/v1/connections", { body });
  switch (refused.error?.code) { // the compiler knows every code that this call can give
    case "exchange_key_rejected":
      assert.equal(refused.response.status, 400);
      break;
    default:
      assert.fail(JSON.stringify(refused.error));
  }
  const key = randomUUID();
  const right = {
    body: { ...body, api_secret: API_SECRET! },
    params: { header: { "Idempotency-Key": key } },
  };
  const first = await api.POST("/api/v1/connections", right);
  assert.ok(first.data, JSON.stringify(first.error));
  const again = await api.POST("/api/v1/connections", right);
  assert.deepEqual(again.data, first.data);
  assert.equal(again.response.headers.get("Idempotency-Replayed"), "true");
  const other = await api.POST("/api/v1/connections", {
    ...right,
    body: { ...right.body, label: "another" },
  });
  assert.equal(other.error?.code, "idempotency_key_reused");
  const listed = await api.GET("/api/v1/connections");
  assert.equal(listed.data?.results.length, 1);
  return first.data.id;
}

async function awaitSync(id: string) {
  for (let tries = 0; tries < 450; tries += 1) {
    const { data } = await api.GET("/api/v1/connections/{id}/sync-runs", {
      params: { path: { id }, query: { page_size: 1 } },
    });
    const [run] = data?.results ?? [];
    if (run?.finished_at) {
      assert.equal(run.state, "complete", JSON.stringify(run));
      return;
    }
    await pause(200);
  }
  assert.fail("the first sync did not end");
}

async function homeScreen() {
  let seen = await api.GET("/api/v1/portfolio");
  for (let tries = 0; tries < 50 && seen.data?.status !== "complete"; tries += 1) {
    await pause(200); // prices arrive with a task of their own
    seen = await api.GET("/api/v1/portfolio");
  }
  assert.ok(seen.data && seen.data.holdings.length > 0);
  assert.equal(typeof seen.data.total_value, "string");
  let unchanged = await api.GET("/api/v1/portfolio");
  for (let tries = 0; tries < 5 && !unchanged.response.headers.has("X-Kept"); tries += 1) {
    unchanged = await api.GET("/api/v1/portfolio"); // a price came between
  }
  assert.equal(unchanged.response.headers.get("X-Kept"), "true");
  assert.ok((unchanged.data?.holdings.length ?? 0) > 0);
}

async function lists() {
  const holdings = await api.GET("/api/v1/holdings");
  assert.ok((holdings.data?.results.length ?? 0) > 0);
  const whole = await api.GET("/api/v1/trades", { params: { query: { page_size: 500 } } });
  const ids: string[] = [];
  let cursor: string | undefined;
  do {
    const query = cursor === undefined ? { page_size: 50 } : { page_size: 50, cursor };
    const { data, error } = await api.GET("/api/v1/trades", { params: { query } });
    assert.ok(data, JSON.stringify(error));
    ids.push(...data.results.map((trade) => trade.id));
    cursor = data.next ? (new URL(data.next).searchParams.get("cursor") ?? undefined) : undefined;
  } while (cursor !== undefined);
  assert.ok(ids.length > 50);
  assert.deepEqual(ids, whole.data?.results.map((trade) => trade.id));
}

async function typedErrors() {
  const wrong = await api.PATCH("/api/v1/me", { body: { time_zone: "Nowhere/Else" } });
  assert.equal(wrong.error?.code, "invalid_input");
  const { fields } = wrong.error?.details as { fields: { field: string; code: string }[] };
  assert.equal(fields[0]?.field, "time_zone");
  const none = await api.GET("/api/v1/connections/{id}", { params: { path: { id: randomUUID() } } });
  assert.equal(none.error?.code, "not_found");
}

async function oneRefreshForAll() {
  const before = session.refreshes;
  const known = await session.store.read();
  assert.ok(known);
  await session.store.write({ ...known, access: `${known.access}x` }); // as good as run out
  const answers = await Promise.all([1, 2, 3, 4, 5].map(() => api.GET("/api/v1/sessions")));
  assert.deepEqual(answers.map(({ response }) => response.status), [200, 200, 200, 200, 200]);
  assert.equal(session.refreshes, before + 1);
  assert.notEqual((await session.store.read())?.access, known.access);
}

async function live() {
  const tokens = await session.store.read();
  const refused = await firstMessage(
    LIVE_URL!, tokens!.access, [{ channel: "prices" }], ({ type }) => type === "error",
  );
  assert.equal(refused["code"], "live_prices_not_in_plan");
  const demo = new Session(BASE_URL!);
  await signIn(demo, { email: DEMO_EMAIL!, password: DEMO_PASSWORD! });
  const paid = await demo.store.read();
  const price = await firstMessage(
    LIVE_URL!, paid!.access, [{ channel: "prices" }, { channel: "portfolio" }],
    ({ type }) => type === "price",
  );
  assert.ok(JSON.stringify(price).length > 20);
}

async function signOut() {
  const tokens = await session.store.read();
  const out = await api.POST("/api/v1/auth/logout", { body: { refresh: tokens!.refresh } });
  assert.equal(out.response.status, 204);
  await assert.rejects(api.GET("/api/v1/me"), SignedOut);
  assert.equal(await session.store.read(), null);
}

async function step(name: string, act: () => Promise<unknown>) {
  await act();
  console.log(`ok ${name}`);
}

await step("sign up and in", signUpAndIn);
let connection = "";
await step("connect", async () => { connection = await connect(); });
await step("first sync", () => awaitSync(connection));
await step("home screen", homeScreen);
await step("lists", lists);
await step("typed errors", typedErrors);
await step("one refresh for all", oneRefreshForAll);
await step("live", live);
await step("sign out", signOut);
