import type { Config } from "../adapters/config.ts";
import { isLocalName } from "../api/origin.ts";
import type { Ports } from "../core/ports.ts";
import { createSignInToken } from "../core/session.ts";
import { parseKey } from "../core/tenant.ts";

/** Whether `vedere start` serves the page: if nothing but this machine reaches the gateway. */
export function servesPage({ store, host, publicUrl }: Config): boolean {
  return store === "embedded" && isLocalName(host) && isLocalName(new URL(publicUrl).hostname);
}

/**
 * The address of the page with a one-time token, for a key; null if no page is served. The token
 * stands in the fragment: browsers send it to no server, and no proxy, log or referrer sees it.
 */
export async function signInLink(
  {
    sessions,
    tenants,
    clock,
    pepper,
  }: Pick<Ports, "sessions" | "tenants" | "clock"> & {
    readonly pepper: string;
  },
  config: Config,
  keyText: string,
): Promise<string | null> {
  const key = await tenants.findKey(parseKey(keyText)?.id ?? "");
  if (!sessions || !key || !servesPage(config)) return null;
  const { text } = await createSignInToken({ sessions, clock, pepper }, key);
  return `${config.publicUrl}/#token=${text}`;
}
