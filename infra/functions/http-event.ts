import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2 } from "aws-lambda";
import { parseTarget } from "../../api/request-target.ts";

/**
 * The standard form of an HTTP API event (payload version 2.0); null if its path is no plain path.
 */
export function requestOf(event: APIGatewayProxyEventV2, signal: AbortSignal): Request | null {
  const { rawPath, rawQueryString, headers, body, isBase64Encoded, cookies = [] } = event;
  const { method } = event.requestContext.http;
  const entries = Object.entries(headers).flatMap(([name, value]): [string, string][] =>
    value === undefined ? [] : [[name, value]],
  );
  if (cookies.length > 0) entries.push(["cookie", cookies.join("; ")]);
  const url = parseTarget(`${rawPath}${rawQueryString && `?${rawQueryString}`}`);
  if (!url) return null;
  const bytes =
    body === undefined ? undefined : Buffer.from(body, isBase64Encoded ? "base64" : "utf8");
  const hasBody = bytes !== undefined && method !== "GET" && method !== "HEAD";
  return new Request(url, { method, headers: entries, signal, ...(hasBody && { body: bytes }) });
}

/** What an HTTP API answers with: texts as they are, all else in base64. */
export async function resultOf(response: Response): Promise<APIGatewayProxyStructuredResultV2> {
  const headers = Object.fromEntries(response.headers);
  const bytes = Buffer.from(await response.arrayBuffer());
  const isText = /^(text\/|application\/(json|graphql-response\+json))/.test(
    headers["content-type"] ?? "",
  );
  return {
    statusCode: response.status,
    headers,
    body: bytes.toString(isText ? "utf8" : "base64"),
    isBase64Encoded: !isText,
  };
}
