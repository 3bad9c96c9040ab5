import { readFile } from "node:fs/promises";
import { isOfThisMachine } from "../origin.ts";

/** The bundle that build.js makes lies in dist/, also for a gateway that runs from the sources. */
const bundleFolder = new URL(
  import.meta.url.endsWith(".ts") ? "../../dist/api/graphiql/" : "./",
  import.meta.url,
);

const assets: Readonly<Record<string, string>> = {
  "page.js": "text/javascript; charset=utf-8",
  "page.css": "text/css; charset=utf-8",
};

const pageHeaders = {
  "content-type": "text/html; charset=utf-8",
  "cache-control": "no-store",
  "content-security-policy": [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self' 'unsafe-inline'", // the page's dialogs lock scrolling with a style element
    "img-src 'self' data:",
    "font-src 'self' data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; "),
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

/**
 * GraphiQL at / with its two files, for callers on this machine; null for every other request. The page may carry an API key, so the Host
 * header must name this machine too: else a site could point its own name at 127.0.0.1 and read the page.
 */
export function graphiqlPages(localKey: string | null) {
  return async (request: Request, peerAddress: string): Promise<Response | null> => {
    const { pathname } = new URL(request.url);
    if (request.method !== "GET" || !isOfThisMachine(request, peerAddress)) return null;
    if (pathname === "/") return new Response(pageHtml(localKey), { headers: pageHeaders });
    const name = pathname.slice("/graphiql/".length);
    const contentType = pathname.startsWith("/graphiql/") ? assets[name] : undefined;
    if (contentType === undefined) return null;
    const bytes = await readFile(new URL(name, bundleFolder));
    return new Response(new Uint8Array(bytes), {
      headers: {
        "content-type": contentType,
        "cache-control": "no-cache",
        "x-content-type-options": "nosniff",
      },
    });
  };
}

function pageHtml(localKey: string | null): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Vedere</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/graphiql/page.css">
<style>html, body, #page { height: 100%; margin: 0 }</style>
</head>
<body>
<div id="page" data-key="${encodeURIComponent(localKey ?? "")}"></div>
<script type="module" src="/graphiql/page.js"></script>
</body>
</html>
`;
}
