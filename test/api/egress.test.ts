import { expect, test } from "vitest";
import { specialRangeOf } from "../../api/egress.ts";

/** The first and last address of each range, and forms that hide one address in another. */
test.each([
  ["0.0.0.0", "this network"],
  ["0.255.255.255", "this network"],
  ["10.0.0.0", "private use"],
  ["10.255.255.255", "private use"],
  ["100.64.0.0", "carrier-grade NAT"],
  ["100.100.100.200", "carrier-grade NAT"], // Alibaba Cloud metadata
  ["100.127.255.255", "carrier-grade NAT"],
  ["127.0.0.1", "loopback"],
  ["127.255.255.255", "loopback"],
  ["168.63.129.16", "Azure platform"],
  ["169.254.0.0", "link-local, cloud metadata"],
  ["169.254.169.254", "link-local, cloud metadata"], // AWS, Google Cloud, Azure metadata
  ["169.254.170.2", "link-local, cloud metadata"], // AWS task credentials
  ["172.16.0.0", "private use"],
  ["172.31.255.255", "private use"],
  ["192.0.0.1", "IETF protocol assignments"],
  ["192.0.0.192", "IETF protocol assignments"], // Oracle Cloud metadata
  ["192.0.2.1", "documentation"],
  ["192.88.99.1", "6to4 relays, deprecated"],
  ["192.168.0.0", "private use"],
  ["192.168.255.255", "private use"],
  ["198.18.0.0", "benchmarking"],
  ["198.19.255.255", "benchmarking"],
  ["198.51.100.7", "documentation"],
  ["203.0.113.7", "documentation"],
  ["224.0.0.1", "multicast"],
  ["239.255.255.255", "multicast"],
  ["240.0.0.1", "reserved, broadcast"],
  ["255.255.255.255", "reserved, broadcast"],
  ["::", "unspecified"],
  ["::1", "loopback"],
  ["::7f00:1", "IPv4-compatible"],
  ["::808:808", "IPv4-compatible"],
  ["::ffff:127.0.0.1", "IPv4-mapped"],
  ["::ffff:a9fe:a9fe", "IPv4-mapped"],
  ["::ffff:0:7f00:1", "IPv4-translated"],
  ["64:ff9b::7f00:1", "NAT64"],
  ["64:ff9b::8.8.8.8", "NAT64"],
  ["64:ff9b:1::7f00:1", "local NAT64"],
  ["64:ff9b:1:ffff::a00:1", "local NAT64"],
  ["100::1", "discard"],
  ["2001::1", "Teredo"],
  ["2001:0:4136:e378:8000:63bf:3fff:fdd2", "Teredo"],
  ["2001:2::1", "IETF protocol assignments"],
  ["2001:db8::1", "documentation"],
  ["2002:7f00:1::", "6to4"],
  ["2002:a00:1::1", "6to4"],
  ["3fff::1", "documentation"],
  ["5f00::1", "segment routing"],
  ["fc00::1", "unique local, cloud metadata"],
  ["fd00:ec2::254", "unique local, cloud metadata"], // AWS metadata
  ["fe80::1", "link-local"],
  ["fe80::1%eth0", "link-local"],
  ["fe80::5efe:7f00:1", "link-local"],
  ["fec0::1", "site-local, deprecated"],
  ["ff02::1", "multicast"],
  ["2600::5efe:7f00:1", "ISATAP"],
  ["2600::200:5efe:10.0.0.1", "ISATAP"],
  ["4000::1", "not global unicast"],
  ["localhost", "not an IP address"],
  ["", "not an IP address"],
])("%s is refused: %s", (address, name) => {
  expect(specialRangeOf(address)).toMatchObject({
    name,
    source: expect.stringMatching(/^(RFC \d+|learn\.microsoft\.com)/),
  });
});

test.each([
  "1.1.1.1",
  "8.8.8.8",
  "9.255.255.255",
  "11.0.0.0",
  "100.63.255.255",
  "100.128.0.0",
  "126.255.255.255",
  "128.0.0.0",
  "172.15.255.255",
  "172.32.0.0",
  "192.167.255.255",
  "192.169.0.0",
  "198.17.255.255",
  "198.20.0.0",
  "223.255.255.255",
  "2001:200::1",
  "2001:4860:4860::8888",
  "2606:4700:4700::1111",
  "2a00:1450:4001:80b::200e",
])("%s is an ordinary public address", (address) => {
  expect(specialRangeOf(address)).toBeNull();
});
