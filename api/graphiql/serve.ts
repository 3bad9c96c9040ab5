import { readFile } from "node:fs/promises";

/** The bundle that build.js makes lies in dist/, also for a gateway that runs from the sources. */
const bundleFolder = new URL(
  import.meta.url.endsWith(".ts") ? "../../dist/api/graphiql/" : "./",
  import.meta.url,
);

const assets: ReadonlyMap<string, string> = new Map([
  ["page.js", "text/javascript; charset=utf-8"],
  ["page.css", "text/css; charset=utf-8"],
]);

const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'", // the page's dialogs lock scrolling with a style element
  "img-src 'self' data:",
  "font-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/**
 * GraphiQL at / with its two files; null for every other request. The page is the same for
 * everybody and carries no secret: it reads a one-time token from the fragment of its address,
 * which reaches no server, proxy or log, and posts it for a session.
 */
export async function graphiqlPage(request: Request): Promise<Response | null> {
  const { pathname } = new URL(request.url);
  if (request.method !== "GET") return null;
  if (pathname === "/") {
    const headers = {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": contentSecurityPolicy,
    };
    return new Response(pageHtml, { headers });
  }
  const name = pathname.slice("/graphiql/".length);
  const contentType = pathname.startsWith("/graphiql/") ? assets.get(name) : undefined;
  if (contentType === undefined) return null;
  const bytes = await readFile(new URL(name, bundleFolder));
  return new Response(new Uint8Array(bytes), {
    headers: { "content-type": contentType, "cache-control": "no-cache" },
  });
}

const pageHtml = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Vedere</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/graphiql/page.css">
</head>
<body>
<div id="page"></div>
<script type="module" src="/graphiql/page.js"></script>
</body>
</html>
`;
