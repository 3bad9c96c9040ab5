import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { listen, type Patience } from "../../api/http.ts";
import type { Gateway } from "../../api/server.ts";

/** Each is far from the others, so that a test can tell which one ended a connection. */
const patience: Partial<Patience> = {
  headersMs: 300,
  requestMs: 60_000,
  checkMs: 50,
  keepAliveMs: 60_000,
  silenceMs: 60_000,
  bodySilenceMs: 300,
  lingerMs: 300,
};

/** Answers /read when it has the whole body, /refuse at once, and /wait never. */
const gateway: Gateway = {
  async handle(request) {
    const { pathname } = new URL(request.url);
    if (pathname === "/wait") await request.text();
    if (pathname === "/wait") return new Promise(() => {});
    if (pathname === "/refuse") return new Response("no", { status: 413 });
    return new Response(await request.text());
  },
  dress: (response) => response,
  close: async () => {},
};

let opened: Socket[];
beforeEach(() => {
  opened = [];
});

async function start(parts: Partial<Patience> = {}) {
  const server = await listen(gateway, {
    host: "127.0.0.1",
    port: 0,
    patience: { ...patience, ...parts },
  });
  onTestFinished(async () => {
    for (const socket of opened) socket.destroy();
    await server.close(0);
  });
  return server.port;
}

async function dial(port: number, bytes = ""): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {}); // a reset ends it as well
  opened.push(socket);
  await once(socket, "connect");
  if (bytes !== "") socket.write(bytes);
  return socket;
}

/** All that comes until the other side ends; fails by the test's timeout if it does not. */
const untilEnd = (socket: Socket) => text(socket).catch(() => "reset");

const post = (path: string, length: number) =>
  `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n`;

test("a connection that sends nothing is closed", async () => {
  const port = await start();
  await untilEnd(await dial(port));
});

test("one whose headers do not end is answered 408 and closed, however it drips", async () => {
  const socket = await dial(await start(), "GET / HTTP/1.1\r\nHost: x\r\n");
  const drip = setInterval(() => socket.write("A: b\r\n"), 50);
  socket.on("close", () => clearInterval(drip));
  onTestFinished(() => clearInterval(drip));
  expect(await untilEnd(socket)).toMatch(/^HTTP\/1\.1 408 |^reset$/);
});

test("one whose body stalls is closed", async () => {
  const socket = await dial(await start(), `${post("/read", 10)}12345`);
  expect(await untilEnd(socket)).not.toContain("200");
});

test("one whose body goes on is read to its end, longer than the silence that is borne", async () => {
  const socket = await dial(await start({ bodySilenceMs: 4_000 }), post("/read", 45));
  const answer = untilEnd(socket);
  for (let i = 0; i < 45; i += 1) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    socket.write("x");
  }
  socket.end();
  expect(await answer).toMatch(/200 OK[\s\S]*x{45}/);
});

test("a body that nobody wants is read for a moment, and its sender sees the answer", async () => {
  const socket = await dial(await start({ bodySilenceMs: 60_000 }), `${post("/refuse", 1_000)}123`);
  expect(await untilEnd(socket)).toContain("413");
});

test("a long answer to a whole request is waited for longer than a silent body", async () => {
  const socket = await dial(await start(), `${post("/wait", 1)}x`);
  const ended = untilEnd(socket).then(() => "ended");
  const later = new Promise((resolve) => setTimeout(() => resolve("open"), 1_000));
  expect(await Promise.race([ended, later])).toBe("open");
});

test("a connection beyond the most is closed at once, and a place comes back", async () => {
  const port = await start({ connectionsMax: 2, headersMs: 60_000 });
  const first = await dial(port);
  await dial(port);
  await untilEnd(await dial(port));
  first.destroy();
  const ask = async () => {
    const socket = await dial(
      port,
      `${post("/read", 2).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")}ok`,
    );
    return untilEnd(socket);
  };
  await expect.poll(ask, { timeout: 10_000 }).toContain("200 OK");
});
