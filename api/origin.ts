import ipaddr from "ipaddr.js";

/** Whether a web page's script sent a request. Sec-Fetch-Mode alone does not tell: Node's own fetch sends it too, but no Sec-Fetch-Site. */
export function isFromBrowser({ headers }: Request): boolean {
  return headers.has("origin") || headers.has("sec-fetch-site");
}

/** Whether a request comes from this machine and calls it by a name of its own: else a site could point its own name at 127.0.0.1. */
export function isOfThisMachine({ headers }: Request, peerAddress: string): boolean {
  const isLoopback =
    ipaddr.isValid(peerAddress) && ipaddr.process(peerAddress).range() === "loopback";
  const name = (headers.get("host") ?? "").replace(/:\d+$/, "");
  return isLoopback && ["localhost", "127.0.0.1", "[::1]"].includes(name);
}
