import { afterAll, afterEach, vi } from "vitest";
import { sqsQueue } from "../../adapters/aws/sqs-queue.ts";
import type { Clock } from "../../core/ports.ts";
import { startEmulators } from "./aws-emulators.ts";
import { queueContract } from "./queue.ts";

const aws = await startEmulators();
afterAll(() => aws.stop());
afterEach(() => vi.restoreAllMocks());

/**
 * SQS keeps tenants apart over minutes, which the emulator does not do at all; sqs-queue.test.ts
 * tests that it is told the tenant.
 */
const promises = { isFair: false };

const open = async (clock: Clock) => {
  const urls = await aws.createQueue({ receiveCountMax: 5 });
  vi.spyOn(Date, "now").mockImplementation(() => clock.now());
  const [queue, elsewhere] = [sqsQueue(aws.sqs, urls, clock), sqsQueue(aws.sqs, urls, clock)];
  // The age is counted from when a process last saw the queue empty: let the other one have seen it
  // too.
  await elsewhere.depth();
  return { queue, elsewhere, close: async () => undefined };
};

queueContract("SQS (emulated)", open, promises);
