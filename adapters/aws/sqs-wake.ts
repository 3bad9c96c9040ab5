import { SendMessageCommand, type SQSClient } from "@aws-sdk/client-sqs";

/**
 * Tells who delivers webhooks that there is something to do after so long. Only makes things
 * faster: what is to be done stands in the table, where a sweep finds it every minute. So a message
 * that cannot be sent is no error, and one that would have to wait longer than SQS lets it is not
 * sent.
 */
export type Wake = (afterMs: number) => Promise<void>;

export const nobody: Wake = async () => {};

/** SQS delays no message longer. */
const delaySecondsMax = 900;

/**
 * By a message to a queue that a function of the cloud is started by; its body says nothing. Null:
 * nobody is to be told.
 */
export function sqsWake(client: SQSClient, queueUrl: string | null): Wake {
  if (queueUrl === null) return nobody;
  return async (afterMs) => {
    const DelaySeconds = Math.ceil(Math.max(0, afterMs) / 1_000);
    if (DelaySeconds > delaySecondsMax) return;
    await client
      .send(new SendMessageCommand({ QueueUrl: queueUrl, MessageBody: "{}", DelaySeconds }))
      .catch(() => undefined);
  };
}
