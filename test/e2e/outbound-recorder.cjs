// Preloaded into every Node.js process of a test's service: appends each name that is looked up and each
// address that is dialed to the file in RECORDER_FILE. Children inherit it with NODE_OPTIONS. It cannot
// see native libraries: outbound.test.ts watches those with strace.
const { appendFileSync } = require("node:fs");
const dns = require("node:dns");
const dgram = require("node:dgram");
const net = require("node:net");

const note = (line) => appendFileSync(process.env.RECORDER_FILE, `${line}\n`);
const watch = (object, name, textOf) => {
  const real = object[name];
  if (typeof real !== "function") return;
  object[name] = function (...args) {
    note(textOf(...args));
    return real.apply(this, args);
  };
};

// Node's own modules hold the functions of "net" and "dns" that they call; these two are what they call.
for (const name of Object.keys(dns).filter((each) => /^(lookup|resolve|reverse)/.test(each)))
  watch(dns, name, (host) => `dns ${host}`);
for (const name of Object.keys(dns.promises).filter((each) => /^(lookup|resolve|rev)/.test(each)))
  watch(dns.promises, name, (host) => `dns ${host}`);
watch(net.Socket.prototype, "connect", (...args) => {
  const [given] = Array.isArray(args[0]) ? args[0] : args;
  const { host, port, path } = typeof given === "object" ? given : { port: given, host: args[1] };
  return `connect ${path ?? `${host ?? "localhost"}:${port}`}`;
});
watch(dgram.Socket.prototype, "send", () => "datagram");
