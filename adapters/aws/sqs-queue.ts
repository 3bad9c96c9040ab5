import {
  ChangeMessageVisibilityCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  type Message,
  ReceiveMessageCommand,
  SendMessageCommand,
  type SQSClient,
} from "@aws-sdk/client-sqs";
import { AppError } from "../../core/errors.ts";
import type { Clock, Lease, Queue } from "../../core/ports.ts";
import { bodyOf, messageIn } from "./sqs-message.ts";

/** SQS gives no more at once. */
const batchMax = 10;
const pollSecondsMax = 20;
const visibilitySecondsMax = 43_200;

/**
 * A standard queue of SQS and its dead letters, by their URLs. Each message carries its tenant as
 * MessageGroupId, which makes SQS keep the waiting times of the other tenants short when one floods
 * the queue; SQS promises no order beyond that.
 *
 * SQS counts whole seconds, so leases, delays and waits are rounded up. A lease or delay of more
 * than 12 hours is an AppError INVALID. SQS lets the last receipt of a message work even after its
 * lease has ended or was given back; the port does not, so this process remembers until when it
 * holds which receipt. A receipt is worth something only in the process that received it.
 *
 * `depth` is what SQS calls approximate: it may lag a minute behind. SQS does not tell the age of
 * the oldest message without CloudWatch: `oldestAgeMs` is 0 while the queue is empty, else an upper
 * bound: the time since this process last saw it empty, or, where it never did, the time for which
 * the queue keeps messages at all.
 */
export function sqsQueue(
  client: SQSClient,
  urls: { readonly queue: string; readonly deadLetters: string },
  clock: Clock,
): Queue {
  const heldUntil = new Map<string, number>();
  let emptyAt = Number.NEGATIVE_INFINITY;
  const holds = ({ receipt }: Lease) => (heldUntil.get(receipt) ?? 0) > clock.now();

  const poll = async (
    max: number,
    waitSeconds: number,
    leaseMs: number,
    signal: AbortSignal | undefined,
  ): Promise<Message[]> => {
    const command = new ReceiveMessageCommand({
      QueueUrl: urls.queue,
      MaxNumberOfMessages: Math.min(max, batchMax),
      WaitTimeSeconds: waitSeconds,
      VisibilityTimeout: visibilitySeconds(leaseMs),
      MessageSystemAttributeNames: ["ApproximateReceiveCount"],
    });
    return (await client.send(command, signal && { abortSignal: signal })).Messages ?? [];
  };

  const moveToDead = async (
    body: string,
    receipt: string,
    why: { reason: string; tenantId: string },
  ) => {
    await client.send(
      new SendMessageCommand({
        QueueUrl: urls.deadLetters,
        MessageBody: body,
        MessageGroupId: why.tenantId,
        MessageAttributes: { reason: { DataType: "String", StringValue: asAttribute(why.reason) } },
      }),
    );
    await unlessLost(
      client.send(new DeleteMessageCommand({ QueueUrl: urls.queue, ReceiptHandle: receipt })),
    );
  };

  const leaseIn = async (received: Message, endsAt: number): Promise<Lease | null> => {
    const { Body: body = "", ReceiptHandle: receipt, Attributes: attributes } = received;
    const receiveCount = Number(attributes?.ApproximateReceiveCount);
    if (!receipt || !Number.isSafeInteger(receiveCount))
      throw new Error("SQS gave a message without receipt or receive count.");
    const message = messageIn(body);
    if (!message) {
      await moveToDead(body, receipt, {
        reason: "This is not a message of a run that this version understands.",
        tenantId: "unknown",
      });
      return null;
    }
    heldUntil.set(receipt, endsAt);
    return { message, receipt, receiveCount };
  };

  return {
    async send(message) {
      await client.send(
        new SendMessageCommand({
          QueueUrl: urls.queue,
          MessageBody: bodyOf(message),
          MessageGroupId: message.tenantId,
        }),
      );
    },
    async receive({ max, waitMs, leaseMs, signal }) {
      const until = performance.now() + waitMs;
      for (const [receipt, endsAt] of heldUntil)
        if (endsAt <= clock.now()) heldUntil.delete(receipt);
      try {
        while (!signal?.aborted) {
          const waitSeconds = Math.min(
            pollSecondsMax,
            Math.max(0, Math.ceil((until - performance.now()) / 1_000)),
          );
          const received = await poll(max, waitSeconds, leaseMs, signal);
          // SQS has counted since a moment ago; where it thinks otherwise than `heldUntil`, its
          // word holds.
          const endsAt = clock.now() + leaseMs;
          const leases = (await Promise.all(received.map((one) => leaseIn(one, endsAt)))).filter(
            (lease) => lease !== null,
          );
          if (leases.length > 0 || performance.now() >= until) return leases;
        }
      } catch (error) {
        if (!signal?.aborted || !(error instanceof Error) || error.name !== "AbortError")
          throw error;
      }
      return [];
    },
    async extend(lease, leaseMs) {
      const seconds = visibilitySeconds(leaseMs);
      if (!holds(lease)) return false;
      const endsAt = clock.now() + leaseMs;
      const isHeld = await unlessLost(client.send(visibility(urls.queue, lease, seconds)));
      if (isHeld) heldUntil.set(lease.receipt, endsAt);
      else heldUntil.delete(lease.receipt);
      return isHeld;
    },
    async remove(lease) {
      if (!holds(lease)) return;
      await unlessLost(
        client.send(
          new DeleteMessageCommand({ QueueUrl: urls.queue, ReceiptHandle: lease.receipt }),
        ),
      );
      heldUntil.delete(lease.receipt);
    },
    async release(lease, delayMs) {
      const seconds = visibilitySeconds(delayMs);
      if (!holds(lease)) return;
      await unlessLost(client.send(visibility(urls.queue, lease, seconds)));
      heldUntil.delete(lease.receipt);
    },
    async bury(lease, reason) {
      if (!holds(lease)) return;
      // In this order: should we die in between, the message is dead and alive, and the worker
      // finds its run finished.
      await moveToDead(bodyOf(lease.message), lease.receipt, {
        reason,
        tenantId: lease.message.tenantId,
      });
      heldUntil.delete(lease.receipt);
    },
    async depth() {
      const now = clock.now();
      const [alive, dead] = await Promise.all([
        count(client, urls.queue),
        count(client, urls.deadLetters),
      ]);
      if (alive.visible + alive.inFlight === 0) emptyAt = now;
      return {
        visible: alive.visible,
        inFlight: alive.inFlight,
        dead: dead.visible + dead.inFlight,
        oldestAgeMs: Math.min(now - emptyAt, alive.keptMs),
      };
    },
  };
}

function visibility(
  queueUrl: string,
  lease: Lease,
  seconds: number,
): ChangeMessageVisibilityCommand {
  return new ChangeMessageVisibilityCommand({
    QueueUrl: queueUrl,
    ReceiptHandle: lease.receipt,
    VisibilityTimeout: seconds,
  });
}

function visibilitySeconds(ms: number): number {
  const seconds = Math.ceil(ms / 1_000);
  if (seconds <= visibilitySecondsMax) return seconds;
  throw new AppError(
    "INVALID",
    `SQS cannot hide a message for ${seconds} seconds; 12 hours (${visibilitySecondsMax} seconds) is the most.`,
    {
      fix: "Use a shorter lease or delay.",
    },
  );
}

/** False where SQS says that the receipt holds nothing any more; it has several ways to say so. */
async function unlessLost(call: Promise<unknown>): Promise<boolean> {
  try {
    await call;
    return true;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const isLost =
      ["MessageNotInflight", "ReceiptHandleIsInvalid"].includes(error.name) ||
      (error.name === "InvalidParameterValue" &&
        error.message.includes("for parameter ReceiptHandle is invalid"));
    if (!isLost) throw error;
    return false;
  }
}

/** Not empty, of the characters that SQS takes, and far below the 1 MiB of a message. */
function asAttribute(reason: string): string {
  return (
    reason
      .slice(0, 1_000)
      .replace(/[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu, "\uFFFD") ||
    "no reason given"
  );
}

/**
 * Messages waiting and in flight (delayed ones count as in flight), and for how long the queue
 * keeps a message.
 */
async function count(
  client: SQSClient,
  url: string,
): Promise<{ visible: number; inFlight: number; keptMs: number }> {
  const { Attributes: attributes } = await client.send(
    new GetQueueAttributesCommand({
      QueueUrl: url,
      AttributeNames: [
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesDelayed",
        "MessageRetentionPeriod",
      ],
    }),
  );
  const number = (name: keyof NonNullable<typeof attributes>): number => {
    const value = Number(attributes?.[name]);
    if (!Number.isSafeInteger(value)) throw new Error(`SQS gave no ${name}.`);
    return value;
  };
  return {
    visible: number("ApproximateNumberOfMessages"),
    inFlight:
      number("ApproximateNumberOfMessagesNotVisible") +
      number("ApproximateNumberOfMessagesDelayed"),
    keptMs: number("MessageRetentionPeriod") * 1_000,
  };
}
