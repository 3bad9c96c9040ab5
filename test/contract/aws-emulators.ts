import { CreateQueueCommand, GetQueueAttributesCommand, SQSClient } from "@aws-sdk/client-sqs";
import { startFauxqs } from "fauxqs";

/** What emulators and clients are given; nobody checks it but the gate in s3-gate.ts. */
export const awsConfig = {
  region: "eu-central-1",
  credentials: { accessKeyId: "AKIDCONTRACT", secretAccessKey: "a secret that is none" },
};

/**
 * SQS and S3 in this process, empty: fauxqs keeps all in memory and reads the time from `Date.now`.
 */
export async function startEmulators() {
  const fauxqs = await startFauxqs({ port: 0, host: "127.0.0.1", logger: false });
  const endpoint = `http://127.0.0.1:${fauxqs.port}`;
  const sqs = new SQSClient({ ...awsConfig, endpoint });
  let count = 0;
  return {
    endpoint,
    sqs,
    /**
     * A queue with its dead letters and, as in production, a redrive policy for what nobody buries.
     */
    async createQueue({
      receiveCountMax,
    }: {
      receiveCountMax: number;
    }): Promise<{ queue: string; deadLetters: string }> {
      count += 1;
      const deadLetters = await create(sqs, `dead-letters-${count}`, {});
      const answer = await sqs.send(
        new GetQueueAttributesCommand({ QueueUrl: deadLetters, AttributeNames: ["QueueArn"] }),
      );
      const redrive = {
        deadLetterTargetArn: answer.Attributes?.QueueArn,
        maxReceiveCount: receiveCountMax,
      };
      return {
        queue: await create(sqs, `queue-${count}`, { RedrivePolicy: JSON.stringify(redrive) }),
        deadLetters,
      };
    },
    createBucket(): string {
      count += 1;
      return fauxqs.createBucket(`bucket-${count}`).bucketName;
    },
    async stop(): Promise<void> {
      sqs.destroy();
      await fauxqs.stop();
    },
  };
}

async function create(
  sqs: SQSClient,
  name: string,
  attributes: Record<string, string>,
): Promise<string> {
  const { QueueUrl: url } = await sqs.send(
    new CreateQueueCommand({ QueueName: name, Attributes: attributes }),
  );
  if (!url) throw new Error("The emulator gave a queue no URL.");
  return url;
}
