import { createHash, randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { base64InTurns, ownTurn, sha256InTurns } from "../../api/turns.ts";

const alphabet = /^[A-Za-z0-9+/]*={0,2}$/;

test("base64 of every length stands for its bytes, small or in several pieces", async () => {
  for (const size of [1, 2, 3, 4, 5, 999, 786_431, 786_432, 786_433, 2_000_001]) {
    const bytes = randomBytes(size);
    const decoded = await base64InTurns(bytes.toString("base64"));
    expect(Buffer.from(decoded ?? []).equals(bytes), `${size}`).toBe(true);
  }
});

test("bits behind the last byte mean nothing, as before", async () => {
  expect(await base64InTurns("QQ==")).toEqual(await base64InTurns("QR=="));
});

test.each([
  "",
  "A",
  "AAA",
  "AAAA=",
  "AA=A",
  "A===",
  "====",
  "AAAA====",
  "AA-_",
  "AA A",
  "AA\nA",
  "AAAé",
])("%j is not base64", async (text) => {
  expect(await base64InTurns(text)).toBeNull();
});

test("a foreign character is found wherever it stands in a long text", async () => {
  const text = randomBytes(2_000_000).toString("base64");
  expect(alphabet.test(text)).toBe(true);
  for (const at of [0, 3, 1_048_575, 1_048_576, 2_000_000, text.length - 5, text.length - 3]) {
    for (const foreign of ["-", "=", " ", "ÿ"])
      expect(await base64InTurns(text.slice(0, at) + foreign + text.slice(at + 1))).toBeNull();
  }
});

test("the hash is that of the whole", async () => {
  const bytes = randomBytes(2_500_000);
  const whole = createHash("sha256").update(bytes).digest("hex");
  expect(await sha256InTurns(bytes)).toBe(whole);
});

test("between two turns the event loop goes round, whoever asks for them", async () => {
  let rounds = 0;
  let isDone = false;
  const count = () => {
    rounds += 1;
    if (!isDone) setImmediate(count);
  };
  setImmediate(count);
  const seen: number[] = [];
  await Promise.all(Array.from({ length: 20 }, () => ownTurn().then(() => seen.push(rounds))));
  isDone = true;
  expect(new Set(seen).size).toBe(20);
});
