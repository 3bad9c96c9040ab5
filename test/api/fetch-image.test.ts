import { lookup } from "node:dns";
import { createServer, type RequestListener } from "node:http";
import { type AddressInfo, type LookupFunction, Socket } from "node:net";
import { beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { type FetchSettings, fetchImage } from "../../api/fetch-image.ts";
import { guardedConnector } from "../../api/guarded-connector.ts";
import type { AppError } from "../../core/errors.ts";

/**
 * Answers names from a table, as a resolver in the caller's hands could, and as node does: a list
 * if all addresses are asked for, else the first; others are refused with the error alone.
 */
function resolver(names: Readonly<Record<string, readonly string[]>>): LookupFunction {
  return (hostname, options, callback) => {
    const addresses = names[hostname]?.map((address) => ({
      address,
      family: address.includes(":") ? 6 : 4,
    }));
    const unknown = Object.assign(new Error(`getaddrinfo ENOTFOUND ${hostname}`), {
      ...{ errno: -3008, code: "ENOTFOUND", syscall: "getaddrinfo", hostname },
    });
    const [first] = addresses ?? [];
    const found = options.all ? [addresses] : [first?.address, first?.family];
    const answer: unknown[] = addresses ? [null, ...found] : [unknown];
    process.nextTick(() => Reflect.apply(callback, undefined, answer));
  };
}

const guarded: FetchSettings = {
  allowPrivate: false,
  totalMs: 2_000,
  idleMs: 300,
  redirectsMax: 3,
  bytesMax: 1_000,
  lookup: resolver({}),
};
const open: FetchSettings = {
  ...guarded,
  allowPrivate: true,
  lookup: resolver({ "images.test": ["127.0.0.1"] }),
};

/** Every connection that anything in this process tries to make. */
const dialled = vi.spyOn(Socket.prototype, "connect");
beforeEach(() => {
  dialled.mockClear();
});

const codeOf = (url: string, settings: FetchSettings) =>
  fetchImage(url, settings).then(
    () => "fetched",
    (error: AppError) => error.code,
  );

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return `http://127.0.0.1:${port}`;
}

test.each([
  "http://example.com/a.jpg",
  "ftp://example.com/a.jpg",
  "file:///etc/passwd",
  "data:image/png;base64,AAAA",
  "https://user@example.com/",
  "https://user:password@example.com/",
  "https://example.com:80/",
  "https://example.com:22/",
  "https://127.0.0.1/",
  "https://127.1/",
  "https://0x7f.1/",
  "https://2130706433/",
  "https://017700000001/",
  "https://①②⑦.0.0.1/",
  "https://127.0.0.1./",
  "https://0/",
  "https://169.254.169.254/latest/meta-data/",
  "https://10.0.0.1:8443/",
  "https://[::1]/",
  "https://[::127.0.0.1]/",
  "https://[::ffff:127.0.0.1]/",
  "https://[64:ff9b::7f00:1]/",
  "https://[64:ff9b:1::7f00:1]/",
  "https://[2002:7f00:1::]/",
  "https://[2001::1]/",
  "https://[fe80::1]/",
  "https://[fd00:ec2::254]/",
  "https://[2600::5efe:7f00:1]/",
])("%s is refused and nothing is dialled", async (url) => {
  expect(await codeOf(url, guarded)).toBe("SOURCE_BLOCKED");
  expect(dialled).not.toHaveBeenCalled();
});

test.each([
  [["127.0.0.1"]],
  [["169.254.169.254"]],
  [["::1"]],
  [["::ffff:10.0.0.1"]],
  [["8.8.8.8", "10.0.0.1"]], // one good address does not excuse the other
  [["64:ff9b::a9fe:a9fe"]],
])("a name that leads to %s is refused and nothing is dialled", async (addresses) => {
  const events = vi.spyOn(Socket.prototype, "emit");
  const attempts = () =>
    events.mock.calls.filter(([event]: unknown[]) => event === "connectionAttempt").length;
  expect(
    await codeOf("https://rebind.test/", {
      ...guarded,
      lookup: resolver({ "rebind.test": addresses }),
    }),
  ).toBe("SOURCE_BLOCKED");
  expect(attempts()).toBe(0);
  await codeOf("http://images.test:1/", open);
  expect(attempts()).toBe(1); // the spy does see a dial
  events.mockRestore();
});

test("a socket that reached a private address all the same is cut before a byte is sent", async () => {
  const url = new URL(await serve((_request, response) => response.end("secret")));
  const connect = guardedConnector(guarded);
  const failed = new Promise((resolve) => {
    connect(
      { hostname: url.hostname, host: url.host, protocol: "http:", port: url.port },
      (...[error]) => resolve(error),
    );
  });
  expect(await failed).toMatchObject({ code: "SOURCE_BLOCKED" });
});

test("a name without an address cannot be reached", async () => {
  expect(await codeOf("https://nowhere.test/", guarded)).toBe("SOURCE_UNREACHABLE");
  const empty = { ...guarded, lookup: resolver({ "empty.test": [] }) };
  expect(await codeOf("https://empty.test/", empty)).toBe("SOURCE_UNREACHABLE");
});

test.each([
  ["a name that nobody has", "no-such-host.invalid", "ENOTFOUND"],
  ["a name that is too long to be one", `${"x".repeat(300)}.invalid`, ""],
])("%s is told as unreachable by node's own resolver", async (_what, host, code) => {
  for (const allowPrivate of [false, true])
    await expect(
      fetchImage(`https://${host}/`, { ...guarded, allowPrivate, totalMs: 10_000, lookup }),
    ).rejects.toMatchObject({
      code: "SOURCE_UNREACHABLE",
      message: expect.stringContaining(code),
    });
});

test("the fake resolver refuses as node's own does", async () => {
  const answerOf = (resolve: LookupFunction) =>
    new Promise<unknown[]>((settle) => {
      resolve("no-such-host.invalid", { all: true }, (...answer) => settle(answer));
    });
  const [error, ...rest] = await answerOf(resolver({}));
  const [nodeError, ...nodeRest] = await answerOf(lookup);
  expect({ ...(error as object), message: (error as Error).message }).toEqual({
    ...(nodeError as object),
    message: (nodeError as Error).message,
  });
  expect(rest).toEqual(nodeRest);
});

test("the bytes of an image come back as they are, uncompressed and without credentials or cookies", async () => {
  const seen: object[] = [];
  const url = await serve((request, response) => {
    seen.push(request.headers);
    response.setHeader("set-cookie", "a=b").end(Buffer.from([1, 2, 3]));
  });
  expect([...(await fetchImage(`${url}/a.jpg`, open))]).toEqual([1, 2, 3]);
  expect(seen).toEqual([expect.objectContaining({ "accept-encoding": "identity" })]);
  expect(JSON.stringify(seen)).not.toMatch(/cookie|authorization/i);
});

test("proxies of the environment are ignored", async () => {
  const url = await serve((_request, response) => response.end("x"));
  vi.stubEnv("HTTP_PROXY", "http://127.0.0.1:9").stubEnv("http_proxy", "http://127.0.0.1:9");
  expect(await codeOf(url, open)).toBe("fetched");
  vi.unstubAllEnvs();
});

test("three redirects are followed, a fourth is not", async () => {
  const url = await serve((request, response) => {
    const left = Number(request.url?.slice(1));
    if (left > 0) response.writeHead(302, { location: `/${left - 1}` });
    response.end("x".repeat(100));
  });
  expect(await codeOf(`${url}/3`, open)).toBe("fetched");
  expect(await codeOf(`${url}/4`, open)).toBe("SOURCE_UNREACHABLE");
});

test.each(["ftp://example.com/", "http://user:password@127.0.0.1/", "file:///etc/passwd"])(
  "a redirect to %s is refused",
  async (location) => {
    const url = await serve((_request, response) =>
      response.writeHead(302, { location }).end("see there"),
    );
    dialled.mockClear();
    expect(await codeOf(url, open)).toBe("SOURCE_BLOCKED");
    expect(dialled).toHaveBeenCalledTimes(1); // the server itself, nothing after it
  },
);

test.each([
  ["no location", {}],
  ["no URL", { location: "http://[" }],
])("a redirect with %s is an answer that cannot be used", async (_what, headers) => {
  const url = await serve((_request, response) => response.writeHead(302, headers).end());
  expect(await codeOf(url, open)).toBe("SOURCE_UNREACHABLE");
});

test.each([204, 206, 304, 401, 404, 500])(
  "status %i is told, and its body not taken",
  async (status) => {
    const url = await serve((_request, response) =>
      response
        .writeHead(status)
        .end(status === 204 || status === 304 ? undefined : "x".repeat(900)),
    );
    await expect(fetchImage(url, open)).rejects.toMatchObject({
      code: "SOURCE_UNREACHABLE",
      message: expect.stringContaining(String(status)),
    });
  },
);

test("too many bytes are refused: announced ones at once, others while they come", async () => {
  const announced = await serve((_request, response) =>
    response.writeHead(200, { "content-length": "1001" }).write("x"),
  );
  expect(await codeOf(announced, open)).toBe("SOURCE_TOO_LARGE");
  let sent = 0;
  const endless = await serve((_request, response) => {
    const more = () => {
      while (!response.destroyed && response.write("x".repeat(10_000))) sent += 1;
    };
    response.on("drain", more);
    more();
  });
  expect(await codeOf(endless, open)).toBe("SOURCE_TOO_LARGE");
  expect(sent).toBeLessThan(1_000);
});

test("a server that falls silent is left after idleMs, one that drips after totalMs", async () => {
  const silent = await serve((_request, response) => void response.write("x"));
  const started = performance.now();
  await expect(fetchImage(silent, open)).rejects.toMatchObject({
    code: "SOURCE_UNREACHABLE",
    message: expect.stringContaining("0.3 s"),
  });
  expect(performance.now() - started).toBeLessThan(1_900);

  const dripping = await serve((_request, response) => {
    const drip = setInterval(() => response.write("x"), 50);
    response.on("close", () => clearInterval(drip));
  });
  await expect(fetchImage(dripping, { ...open, totalMs: 700 })).rejects.toMatchObject({
    code: "SOURCE_UNREACHABLE",
    message: expect.stringContaining("0.7 s"),
  });

  const mute = await serve(() => {});
  expect(await codeOf(mute, { ...open, totalMs: 300 })).toBe("SOURCE_UNREACHABLE");
});

test("a server that is not there, or breaks off, is told as unreachable", async () => {
  const url = await serve((request, response) => {
    response.writeHead(200, { "content-length": "100" }).write("x", () => request.socket.destroy());
  });
  expect(await codeOf(url, open)).toBe("SOURCE_UNREACHABLE");
  expect(await codeOf("http://127.0.0.1:1/", open)).toBe("SOURCE_UNREACHABLE");
});
