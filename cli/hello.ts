import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { packageRoot } from "../adapters/package-root.ts";
import { localKeyFile } from "./local-tenant.ts";

/** Two questions about one image, answered in one request. */
const query = `mutation Hello($base64: String!) {
  runCreate(input: { source: { base64: $base64 }, tasks: [{ caption: {} }, { detectObjects: {} }], waitMs: 30000 }) {
    run {
      id
      status
      tasks {
        name
        result {
          ... on CaptionResult { text score }
          ... on DetectionResult { objects { label score box { x0 y0 x1 y1 } } }
        }
        error { code message }
      }
    }
    userErrors { code message fix }
  }
}`;

/**
 * Writes DIR/hello.json, a first request with a sample image in it (too long for a command line),
 * and returns the curl line that sends it.
 */
export async function prepareHello(dataDir: string, gatewayUrl: string): Promise<string> {
  const base64 = await readFile(
    path.join(packageRoot(), "models", "samples", "harbour.jpg"),
    "base64",
  );
  const file = path.join(dataDir, "hello.json");
  await writeFile(file, `${JSON.stringify({ query, variables: { base64 } })}\n`);
  const authorization = `"authorization: Bearer $(cat ${shellWord(localKeyFile(dataDir))})"`;
  return `curl -s ${gatewayUrl}/graphql -H ${authorization} -H "content-type: application/json" -d @${shellWord(file)}`;
}

/** A path as one word of a shell command, from the current folder where it lies in there. */
function shellWord(file: string): string {
  const relative = path.relative(process.cwd(), file);
  const shown = relative.startsWith("..") || path.isAbsolute(relative) ? file : relative;
  return /^[\w./@:+-]+$/.test(shown) ? shown : `'${shown.replaceAll("'", "'\\''")}'`;
}
