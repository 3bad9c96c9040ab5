import ipaddr from "ipaddr.js";

/**
 * The IP address of whoever sent a request: the peer's, or, where the peer is a trusted proxy, the
 * last address of X-Forwarded-For that is none. What stands before that one was written by the
 * sender and is not believed.
 */
export function clientAddress(
  { headers }: Request,
  peer: string,
  trustedProxies: readonly string[],
): string {
  const hops = (headers.get("x-forwarded-for") ?? "").split(",").map((hop) => hop.trim());
  let address = peer;
  while (isAmong(address, trustedProxies)) {
    const hop = hops.pop();
    if (hop === undefined || !ipaddr.isValid(hop)) break;
    address = hop;
  }
  return ipaddr.isValid(address) ? ipaddr.process(address).toString() : address;
}

function isAmong(address: string, networks: readonly string[]): boolean {
  if (!ipaddr.isValid(address)) return false;
  const parsed = ipaddr.process(address);
  return networks.some((network) => {
    const [base, bits] = ipaddr.parseCIDR(network);
    return base.kind() === parsed.kind() && parsed.match(base, bits);
  });
}
