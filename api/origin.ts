import ipaddr from "ipaddr.js";

/**
 * Whether a web page's script sent a request. Sec-Fetch-Mode alone does not tell: Node's own fetch
 * sends it too, but no Sec-Fetch-Site.
 */
export function isFromBrowser({ headers }: Request): boolean {
  return headers.has("origin") || headers.has("sec-fetch-site");
}

/**
 * Whether a request comes from this machine and calls it by a name of its own: else a site could
 * point its own name at 127.0.0.1. It is no credential: a proxy on this machine, and every user of
 * it, fulfil it. So it opens nothing by itself; it only lifts what browsers elsewhere may not do.
 */
export function isOfThisMachine({ headers }: Request, peerAddress: string): boolean {
  const isLoopback =
    ipaddr.isValid(peerAddress) && ipaddr.process(peerAddress).range() === "loopback";
  return isLoopback && isLocalName((headers.get("host") ?? "").replace(/:\d+$/, ""));
}

/** Whether a host's name means this machine alone. */
export function isLocalName(name: string): boolean {
  return ["localhost", "127.0.0.1", "::1", "[::1]"].includes(name);
}

/**
 * Whether a request may see the page and use a session: it comes from this machine, by the public
 * URL's own port, and no proxy says that it passed one on. Never, if the public URL is another
 * machine's.
 */
export function pageDoor(publicUrl: string): (request: Request, peerAddress: string) => boolean {
  const { hostname, protocol, port } = new URL(publicUrl);
  const portOf = (text: string) => text || (protocol === "https:" ? "443" : "80");
  return (request, peerAddress) => {
    const { headers } = request;
    const [, hostPort = ""] = /:(\d+)$/.exec(headers.get("host") ?? "") ?? [];
    return (
      isLocalName(hostname) &&
      isOfThisMachine(request, peerAddress) &&
      portOf(hostPort) === portOf(port) &&
      !proxyHeaders.some((name) => headers.has(name))
    );
  };
}

/** What proxies add, if they add anything. */
const proxyHeaders = [
  "forwarded",
  "via",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-proto",
  "x-real-ip",
];

/** Whether a page of this very origin sent a request: the browser says so, and no script can. */
export function isSameOrigin({ headers }: Request, publicUrl: string): boolean {
  return headers.get("sec-fetch-site") === "same-origin" && isOriginOwn(headers, publicUrl);
}

/** Whether a request contradicts that it comes from this origin. One without a browser does not. */
export function isOtherOrigin({ headers }: Request, publicUrl: string): boolean {
  const site = headers.get("sec-fetch-site");
  return (site !== null && site !== "same-origin") || !isOriginOwn(headers, publicUrl);
}

/** Browsers send Origin with each POST; without one there is nothing to compare. */
function isOriginOwn(headers: Headers, publicUrl: string): boolean {
  const origin = headers.get("origin");
  return origin === null || origin === `${new URL(publicUrl).protocol}//${headers.get("host")}`;
}
