import { createHash } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { sqsQueue } from "../../../adapters/aws/sqs-queue.ts";
import type { Lease, Queue } from "../../../core/ports.ts";
import type { RunMessage } from "../../../core/run.ts";
import { startEmulators } from "../../contract/aws-emulators.ts";
import { fakeClock } from "../../contract/fake-clock.ts";
import { recordSqs } from "./sqs-recorder.ts";

const hourMs = 3_600_000;
const message: RunMessage = { version: 1, tenantId: "ten_1", runId: "run_1" };
const body = JSON.stringify(message);

function received(text: string) {
  const attributes = { ApproximateReceiveCount: "2" };
  const md5 = createHash("md5").update(text).digest("hex");
  return {
    output: {
      Messages: [
        {
          MessageId: "1",
          ReceiptHandle: "receipt_1",
          Body: text,
          MD5OfBody: md5,
          Attributes: attributes,
        },
      ],
    },
  };
}

describe("what SQS is sent", () => {
  let sqs: Awaited<ReturnType<typeof recordSqs>>;
  let clock: ReturnType<typeof fakeClock>;
  let queue: Queue;
  beforeEach(async () => {
    sqs = await recordSqs({ ReceiveMessage: received(body) });
    clock = fakeClock();
    queue = sqsQueue(sqs.client, sqs.urls, clock);
  });
  afterEach(() => sqs.close());

  const take = async (): Promise<Lease> => {
    const [lease] = await queue.receive({ max: 1, waitMs: 0, leaseMs: 30_000 });
    if (!lease) throw new Error("no message came");
    sqs.sent.length = 0;
    return lease;
  };

  test("a message carries its tenant as MessageGroupId, and nothing but ids", async () => {
    await queue.send(message);
    expect(sqs.sent).toEqual([
      {
        action: "SendMessage",
        input: { QueueUrl: sqs.urls.queue, MessageBody: body, MessageGroupId: "ten_1" },
      },
    ]);
  });

  test.each([
    { asked: { max: 1, waitMs: 0, leaseMs: 30_000 }, sent: [1, 0, 30] },
    { asked: { max: 10, waitMs: 20_000, leaseMs: 1_500 }, sent: [10, 20, 2] },
    { asked: { max: 100, waitMs: 600_000, leaseMs: 12 * hourMs }, sent: [10, 20, 43_200] },
    { asked: { max: 2, waitMs: 60, leaseMs: 1 }, sent: [2, 1, 1] },
  ])(
    "a receive of $asked stays within what SQS takes, in whole seconds",
    async ({ asked, sent }) => {
      await queue.receive(asked);
      const [MaxNumberOfMessages, WaitTimeSeconds, VisibilityTimeout] = sent;
      const input = {
        MaxNumberOfMessages,
        WaitTimeSeconds,
        VisibilityTimeout,
        MessageSystemAttributeNames: ["ApproximateReceiveCount"],
      };
      expect(sqs.sent).toEqual([
        { action: "ReceiveMessage", input: { QueueUrl: sqs.urls.queue, ...input } },
      ]);
    },
  );

  test("an abort ends a poll that is under way", async () => {
    sqs.answers.ReceiveMessage = "hang";
    const stop = new AbortController();
    const waiting = queue.receive({ max: 1, waitMs: 20_000, leaseMs: 30_000, signal: stop.signal });
    await expect.poll(() => sqs.sent).toHaveLength(1);
    stop.abort();
    expect(await waiting).toEqual([]);
  });

  test("a heartbeat sets the visibility timeout of this delivery anew", async () => {
    expect(await queue.extend(await take(), 60_000)).toBe(true);
    const input = { QueueUrl: sqs.urls.queue, ReceiptHandle: "receipt_1", VisibilityTimeout: 60 };
    expect(sqs.sent).toEqual([{ action: "ChangeMessageVisibility", input }]);
  });

  test("to bury is to send to the dead letters with the reason, and only then to delete", async () => {
    await queue.bury(await take(), "it never ended");
    const attributes = { reason: { DataType: "String", StringValue: "it never ended" } };
    expect(sqs.sent).toEqual([
      {
        action: "SendMessage",
        input: {
          QueueUrl: sqs.urls.deadLetters,
          MessageBody: body,
          MessageGroupId: "ten_1",
          MessageAttributes: attributes,
        },
      },
      { action: "DeleteMessage", input: { QueueUrl: sqs.urls.queue, ReceiptHandle: "receipt_1" } },
    ]);
  });

  test("a message whose dead letter is refused stays in the queue", async () => {
    const lease = await take();
    sqs.answers.SendMessage = { error: "AccessDenied", message: "no" };
    await expect(queue.bury(lease, "it never ended")).rejects.toThrow("no");
    expect(sqs.sent.map(({ action }) => action)).not.toContain("DeleteMessage");
    expect(await queue.extend(lease, 30_000)).toBe(true);
  });

  test.each([
    { reason: "", stored: "no reason given" },
    { reason: "bell \u0007, half a pair \ud83d.", stored: "bell \ufffd, half a pair \ufffd." },
    { reason: "two lines\nand 🙂", stored: "two lines\nand 🙂" },
    { reason: "x".repeat(2_000_000), stored: "x".repeat(1_000) },
  ])("the reason $stored is one that SQS takes", async ({ reason, stored }) => {
    await queue.bury(await take(), reason);
    expect(sqs.sent[0]?.input).toMatchObject({
      MessageAttributes: { reason: { StringValue: stored } },
    });
  });

  test.each([
    "not JSON",
    "null",
    "[]",
    '{"version":2,"tenantId":"ten_1","runId":"run_1"}',
    '{"version":1,"tenantId":"ten_1"}',
  ])("the foreign message %s goes to the dead letters as it is", async (foreign) => {
    sqs.answers.ReceiveMessage = received(foreign);
    expect(await queue.receive({ max: 1, waitMs: 0, leaseMs: 30_000 })).toEqual([]);
    expect(sqs.sent.map(({ action }) => action)).toEqual([
      "ReceiveMessage",
      "SendMessage",
      "DeleteMessage",
    ]);
    expect(sqs.sent[1]?.input).toMatchObject({
      QueueUrl: sqs.urls.deadLetters,
      MessageBody: foreign,
    });
  });

  test.each([
    { error: "MessageNotInflight", message: "" },
    { error: "ReceiptHandleIsInvalid", message: "The input receipt handle is invalid." },
    {
      error: "InvalidParameterValue",
      message: "Value AQ for parameter ReceiptHandle is invalid. Reason: Message does not exist.",
    },
  ])("$error means that the lease is lost", async (lost) => {
    const lease = await take();
    sqs.answers.ChangeMessageVisibility = lost;
    expect(await queue.extend(lease, 30_000)).toBe(false);
    await queue.remove(lease);
    expect(sqs.sent.map(({ action }) => action)).toEqual(["ChangeMessageVisibility"]);
  });

  test.each(["AccessDenied", "InvalidParameterValue"])(
    "%s about anything else is an error, and the lease stays",
    async (error) => {
      const lease = await take();
      sqs.answers.ChangeMessageVisibility = {
        error,
        message: "Total VisibilityTimeout is beyond the limit",
      };
      await expect(queue.extend(lease, 30_000)).rejects.toThrow("beyond the limit");
      await queue.remove(lease);
      expect(sqs.sent.at(-1)?.action).toBe("DeleteMessage");
    },
  );

  test("leases and delays of more than 12 hours are refused before anything is sent", async () => {
    const lease = await take();
    const tooLong = 12 * hourMs + 1;
    for (const refused of [
      () => queue.extend(lease, tooLong),
      () => queue.release(lease, tooLong),
      () => queue.receive({ max: 1, waitMs: 0, leaseMs: tooLong }),
    ]) {
      await expect(refused()).rejects.toMatchObject({
        code: "INVALID",
        message: expect.stringContaining("12 hours"),
      });
    }
    expect(sqs.sent).toEqual([]);
  });

  test("a receipt is worth nothing in a process that did not receive it", async () => {
    const lease = await take();
    const other = sqsQueue(sqs.client, sqs.urls, clock);
    expect(await other.extend(lease, 30_000)).toBe(false);
    await other.remove(lease);
    await other.bury(lease, "not mine");
    expect(sqs.sent).toEqual([]);
  });

  test("an error of a poll is passed on", async () => {
    sqs.answers.ReceiveMessage = { error: "AccessDenied", message: "no" };
    await expect(queue.receive({ max: 1, waitMs: 20_000, leaseMs: 30_000 })).rejects.toThrow("no");
  });

  test("delayed messages count as in flight, and the age is bounded by what is known", async () => {
    const counts = (visible: number, inFlight: number, delayed: number) => ({
      output: {
        Attributes: {
          ApproximateNumberOfMessages: String(visible),
          ApproximateNumberOfMessagesNotVisible: String(inFlight),
          ApproximateNumberOfMessagesDelayed: String(delayed),
          MessageRetentionPeriod: "3600",
        },
      },
    });
    sqs.answers.GetQueueAttributes = counts(1, 2, 3);
    expect(await queue.depth()).toEqual({ visible: 1, inFlight: 5, dead: 6, oldestAgeMs: hourMs });
    sqs.answers.GetQueueAttributes = counts(0, 0, 0);
    expect((await queue.depth()).oldestAgeMs).toBe(0);
    clock.advance(5_000);
    sqs.answers.GetQueueAttributes = counts(0, 1, 0);
    expect((await queue.depth()).oldestAgeMs).toBe(5_000);
    clock.advance(2 * hourMs);
    expect((await queue.depth()).oldestAgeMs).toBe(hourMs);
  });
});

test("what nobody buries, because each worker died of it, becomes dead by the queue's redrive policy", async () => {
  const aws = await startEmulators();
  try {
    const queue = sqsQueue(aws.sqs, await aws.createQueue({ receiveCountMax: 2 }), fakeClock());
    await queue.send(message);
    for (const receiveCount of [1, 2]) {
      const [lease] = await queue.receive({ max: 1, waitMs: 0, leaseMs: 30_000 });
      if (!lease) throw new Error("no message came");
      expect(lease.receiveCount).toBe(receiveCount);
      await queue.release(lease, 0);
    }
    expect(await queue.receive({ max: 1, waitMs: 0, leaseMs: 30_000 })).toEqual([]);
    expect(await queue.depth()).toEqual({ visible: 0, inFlight: 0, dead: 1, oldestAgeMs: 0 });
  } finally {
    await aws.stop();
  }
});
