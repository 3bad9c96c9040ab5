import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { SQSClient } from "@aws-sdk/client-sqs";
import { awsConfig } from "../../contract/aws-emulators.ts";

/** One request as it came over the wire. */
export interface Sent {
  readonly action: string;
  readonly input: Record<string, unknown>;
}

/** An answer other than an empty 200; `hang` never answers. */
export type Answer = { error: string; message: string } | { output: unknown } | "hang";

/**
 * An HTTP server that speaks as much of SQS as it takes to record what is sent to it, and a client
 * for it.
 */
export async function recordSqs(answers: Record<string, Answer> = {}) {
  const sent: Sent[] = [];
  const server = createServer(async (request, reply) => {
    let text = "";
    for await (const chunk of request.setEncoding("utf8")) text += chunk;
    const action = String(request.headers["x-amz-target"]).replace("AmazonSQS.", "");
    const input: Record<string, unknown> = JSON.parse(text);
    sent.push({ action, input });
    const answer = answers[action] ?? { output: receiptOf(action, input) };
    if (answer === "hang") return;
    const isError = "error" in answer;
    reply.writeHead(isError ? 400 : 200, { "content-type": "application/x-amz-json-1.0" });
    reply.end(
      JSON.stringify(
        isError
          ? { __type: `com.amazonaws.sqs#${answer.error}`, message: answer.message }
          : answer.output,
      ),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The recorder has no port.");
  const endpoint = `http://127.0.0.1:${address.port}`;
  const client = new SQSClient({ ...awsConfig, endpoint });
  return {
    client,
    answers,
    sent,
    urls: { queue: `${endpoint}/1/queue`, deadLetters: `${endpoint}/1/dead` },
    close(): Promise<void> {
      client.destroy();
      return new Promise((resolve) => server.close(() => resolve()).closeAllConnections());
    },
  };
}

/** The client checks that SQS has taken the body that it sent. */
function receiptOf(action: string, input: Record<string, unknown>): unknown {
  if (action !== "SendMessage") return {};
  return {
    MessageId: "1",
    MD5OfMessageBody: createHash("md5").update(String(input.MessageBody)).digest("hex"),
  };
}
