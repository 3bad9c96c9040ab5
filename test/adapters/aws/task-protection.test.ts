import { createServer } from "node:http";
import { json } from "node:stream/consumers";
import { expect, onTestFinished, test } from "vitest";
import { protectedQueue } from "../../../adapters/aws/task-protection.ts";
import { openBell } from "../../../adapters/bell.ts";
import { openSqlite } from "../../../adapters/sqlite.ts";
import { sqliteQueue } from "../../../adapters/sqlite-queue.ts";
import { fakeClock } from "../../contract/fake-clock.ts";

/**
 * As the agent refuses: what ECS does not do is a failure with 200, what cannot be asked for an
 * error.
 */
const refusals = {
  failure: { status: 200, answer: { failure: { Arn: "arn", Reason: "TASK_NOT_VALID" } } },
  error: {
    status: 500,
    answer: { requestID: "1", error: { Arn: "arn", Code: "ServerException", Message: "no" } },
  },
};

/** A queue in memory with some runs, behind an agent that says what it was asked. */
async function start(runs: number) {
  const asked: unknown[] = [];
  const agent: { refuses: keyof typeof refusals | null } = { refuses: null };
  const server = createServer(async (request, response) => {
    asked.push(await json(request));
    expect([request.method, request.url]).toEqual(["PUT", "/task-protection/v1/state"]);
    const taken = { protection: { ProtectionEnabled: true, TaskArn: "arn" } };
    const { status, answer } = agent.refuses
      ? refusals[agent.refuses]
      : { status: 200, answer: taken };
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(answer));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const [sqlite, bell] = [openSqlite(":memory:"), openBell(null)];
  onTestFinished(() => {
    server.close();
    bell.close();
    sqlite.close();
  });
  const clock = fakeClock();
  const queue = sqliteQueue(sqlite, bell, clock);
  for (let i = 0; i < runs; i += 1)
    await queue.send({ version: 1, tenantId: "ten_1", runId: `run_${i}` });
  const address = server.address();
  const logged: string[] = [];
  const uri = `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`;
  return {
    queue: protectedQueue(queue, uri, (_fields, message) => logged.push(message)),
    asked,
    agent,
    logged,
    clock,
  };
}

const take = { max: 1, waitMs: 0, leaseMs: 30_000 };
const on = { ProtectionEnabled: true, ExpiresInMinutes: 20 };
const off = { ProtectionEnabled: false };

test("a task is protected from its first message until its last has ended", async () => {
  const { queue, asked } = await start(2);
  const [first] = await queue.receive(take);
  const [second] = await queue.receive(take);
  if (!first || !second) throw new Error("There are two messages.");
  await queue.remove(first);
  expect(asked).toEqual([on, on]);
  await queue.release(second, 0);
  expect(asked).toEqual([on, on, off]);
});

test("a task without work is left alone", async () => {
  const { queue, asked } = await start(0);
  expect(await queue.receive(take)).toEqual([]);
  expect(asked).toEqual([]);
});

test.each(["failure", "error"] as const)(
  "a task that cannot be protected (%s) gives its message back to others",
  async (how) => {
    const { queue, agent, logged } = await start(1);
    agent.refuses = how;
    await expect(queue.receive(take)).rejects.toThrow("protection");
    expect(logged).toHaveLength(1);
    expect(await queue.depth()).toMatchObject({ visible: 1, inFlight: 0 });
    agent.refuses = null;
    expect(await queue.receive(take)).toHaveLength(1);
  },
);

test("a message whose lease was lost no longer protects the task", async () => {
  const { queue, asked, clock } = await start(1);
  const [lease] = await queue.receive(take);
  if (!lease) throw new Error("There is a message.");
  clock.advance(31_000);
  expect(await queue.extend(lease, 30_000)).toBe(false);
  expect(asked).toEqual([on, off]);
});
