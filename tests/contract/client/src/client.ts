// A client of the API as the app has it: tokens kept in one place, refreshed once for all calls
// that wait, and bodies kept with their ETags. Everything else is generated from the schema.
import createClient, { type Middleware } from "openapi-fetch";
import type { components, paths } from "./schema.js";

export type Tokens = components["schemas"]["Tokens"];

/** Where tokens are kept: the phone's secure storage in the app, memory here. */
export interface TokenStore {
  read(): Promise<Tokens | null>;
  write(tokens: Tokens | null): Promise<void>;
}

export class MemoryStore implements TokenStore {
  #tokens: Tokens | null = null;
  read = async () => this.#tokens;
  write = async (tokens: Tokens | null) => {
    this.#tokens = tokens;
  };
}

/** The session is over: the person has to sign in again. */
export class SignedOut extends Error {}

export class Session {
  readonly api;
  readonly store: TokenStore;
  refreshes = 0;
  readonly #bare;
  #refreshing: Promise<Tokens> | null = null;

  constructor(baseUrl: string, store: TokenStore = new MemoryStore()) {
    this.store = store;
    this.#bare = createClient<paths>({ baseUrl });
    this.api = createClient<paths>({ baseUrl });
    this.api.use(this.#authenticated(), kept());
  }

  /** A fresh pair. Whoever asks while one is being fetched waits for the same. */
  refresh(): Promise<Tokens> {
    this.#refreshing ??= this.#fetchTokens().finally(() => {
      this.#refreshing = null;
    });
    return this.#refreshing;
  }

  async #fetchTokens(): Promise<Tokens> {
    this.refreshes += 1;
    const known = await this.store.read();
    if (known === null) throw new SignedOut();
    const { data, error } = await this.#bare.POST("/api/v1/auth/refresh", {
      body: { refresh: known.refresh },
    });
    if (error?.code === "token_invalid") {
      await this.store.write(null);
      throw new SignedOut();
    }
    if (data === undefined) throw new Error(error?.message ?? "The tokens could not be refreshed.");
    await this.store.write(data); // before it is used: the old one is spent
    return data;
  }

  #authenticated(): Middleware {
    const again = new WeakMap<Request, Request>();
    return {
      onRequest: async ({ request }) => {
        const tokens = await this.store.read();
        if (tokens) request.headers.set("Authorization", `Bearer ${tokens.access}`);
        again.set(request, request.clone()); // a body can be read once
        return request;
      },
      onResponse: async ({ request, response }) => {
        const copy = again.get(request);
        if (response.status !== 401 || copy === undefined) return undefined;
        const { code } = (await response.clone().json()) as components["schemas"]["Error"];
        if (code !== "token_invalid") return undefined;
        const used = copy.headers.get("Authorization");
        const known = await this.store.read();
        const isOld = used !== `Bearer ${known?.access}`; // somebody else refreshed meanwhile
        const tokens = isOld && known ? known : await this.refresh();
        copy.headers.set("Authorization", `Bearer ${tokens.access}`);
        return fetch(copy);
      },
    };
  }
}

/** Keeps bodies by address, asks with their ETags, and answers 304 with what is kept. */
export function kept(bodies = new Map<string, { etag: string; body: string }>()): Middleware {
  return {
    onRequest: ({ request }) => {
      const found = request.method === "GET" ? bodies.get(request.url) : undefined;
      if (found) request.headers.set("If-None-Match", found.etag);
      return request;
    },
    onResponse: async ({ request, response }) => {
      const found = bodies.get(request.url);
      if (response.status === 304 && found) {
        const headers = { "Content-Type": "application/json", "X-Kept": "true", ETag: found.etag };
        return new Response(found.body, { status: 200, headers });
      }
      const etag = response.headers.get("ETag");
      if (request.method === "GET" && response.ok && etag) {
        bodies.set(request.url, { etag, body: await response.clone().text() });
      }
      return undefined;
    },
  };
}
