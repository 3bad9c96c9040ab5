import ipaddr from "ipaddr.js";

/** A block of addresses that no request of ours may reach, and where that is written. */
export interface SpecialRange {
  readonly block: string;
  readonly name: string;
  readonly source: string;
}

/**
 * Why an address may not be dialled: the range it lies in; null where it is an ordinary public
 * address. IPv4 is refused by list. IPv6 is refused by default: only global unicast (2000::/3)
 * passes, less the special ranges inside it, so that every form that embeds an IPv4 address
 * (mapped, compatible, translated, NAT64, 6to4, Teredo) is refused as a whole without being
 * unwrapped.
 */
export function specialRangeOf(address: string): SpecialRange | null {
  if (!ipaddr.isValid(address))
    return { block: address, name: "not an IP address", source: "RFC 4291" };
  const parsed = ipaddr.parse(address);
  if (parsed.kind() === "ipv4")
    return ranges4.find(({ block }) => parsed.match(ipaddr.parseCIDR(block))) ?? null;
  const special = ranges6.find(({ block }) => parsed.match(ipaddr.parseCIDR(block)));
  if (special) return special;
  if (!parsed.match(ipaddr.parseCIDR("2000::/3")))
    return { block: "::/0", name: "not global unicast", source: "RFC 4291 2.4" };
  return isIsatap(parsed.toByteArray()) ? isatap : null;
}

/**
 * https://www.iana.org/assignments/iana-ipv4-special-registry, and two that are special in a cloud
 * only.
 */
const ranges4: readonly SpecialRange[] = [
  { block: "0.0.0.0/8", name: "this network", source: "RFC 791 3.2" },
  { block: "10.0.0.0/8", name: "private use", source: "RFC 1918" },
  { block: "100.64.0.0/10", name: "carrier-grade NAT", source: "RFC 6598" },
  { block: "127.0.0.0/8", name: "loopback", source: "RFC 1122 3.2.1.3" },
  { block: "169.254.0.0/16", name: "link-local, cloud metadata", source: "RFC 3927" },
  { block: "172.16.0.0/12", name: "private use", source: "RFC 1918" },
  { block: "192.0.0.0/24", name: "IETF protocol assignments", source: "RFC 6890 2.1" },
  { block: "192.0.2.0/24", name: "documentation", source: "RFC 5737" },
  { block: "192.88.99.0/24", name: "6to4 relays, deprecated", source: "RFC 7526" },
  { block: "192.168.0.0/16", name: "private use", source: "RFC 1918" },
  { block: "198.18.0.0/15", name: "benchmarking", source: "RFC 2544" },
  { block: "198.51.100.0/24", name: "documentation", source: "RFC 5737" },
  { block: "203.0.113.0/24", name: "documentation", source: "RFC 5737" },
  { block: "224.0.0.0/4", name: "multicast", source: "RFC 5771" },
  { block: "240.0.0.0/4", name: "reserved, broadcast", source: "RFC 1112 4" },
  {
    block: "168.63.129.16/32",
    name: "Azure platform",
    source: "learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16",
  },
];

/**
 * https://www.iana.org/assignments/iana-ipv6-special-registry. Those outside 2000::/3 are here for
 * their names.
 */
const ranges6: readonly SpecialRange[] = [
  { block: "::1/128", name: "loopback", source: "RFC 4291 2.5.3" },
  { block: "::/128", name: "unspecified", source: "RFC 4291 2.5.2" },
  { block: "::/96", name: "IPv4-compatible", source: "RFC 4291 2.5.5.1" },
  { block: "::ffff:0:0/96", name: "IPv4-mapped", source: "RFC 4291 2.5.5.2" },
  { block: "::ffff:0:0:0/96", name: "IPv4-translated", source: "RFC 2765 2.1" },
  { block: "64:ff9b::/96", name: "NAT64", source: "RFC 6052" },
  { block: "64:ff9b:1::/48", name: "local NAT64", source: "RFC 8215" },
  { block: "100::/64", name: "discard", source: "RFC 6666" },
  { block: "2001::/32", name: "Teredo", source: "RFC 4380" },
  { block: "2001::/23", name: "IETF protocol assignments", source: "RFC 2928" },
  { block: "2001:db8::/32", name: "documentation", source: "RFC 3849" },
  { block: "2002::/16", name: "6to4", source: "RFC 3056" },
  { block: "3fff::/20", name: "documentation", source: "RFC 9637" },
  { block: "5f00::/16", name: "segment routing", source: "RFC 9602" },
  { block: "fc00::/7", name: "unique local, cloud metadata", source: "RFC 4193" },
  { block: "fe80::/10", name: "link-local", source: "RFC 4291 2.5.6" },
  { block: "fec0::/10", name: "site-local, deprecated", source: "RFC 3879" },
  { block: "ff00::/8", name: "multicast", source: "RFC 4291 2.7" },
];

const isatap: SpecialRange = {
  block: "::[02]00:5efe:0:0/96 under any prefix",
  name: "ISATAP",
  source: "RFC 5214 6.1",
};

/** The interface identifier 00-00-5E-FE or 02-00-5E-FE, then an IPv4 address, under any prefix. */
function isIsatap(bytes: readonly number[]): boolean {
  const [high, zero, five, efe] = bytes.slice(8, 12);
  return (high === 0 || high === 2) && zero === 0 && five === 0x5e && efe === 0xfe;
}
