/**
 * Headers that every answer carries unless it has its own: errors, files of the page, uploads,
 * streams and probes alike. An answer of the API is data: no page may frame it, load it or run it.
 * https://owasp.org/www-project-secure-headers/
 */
const always: Readonly<Record<string, string>> = {
  "content-security-policy":
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "cache-control": "no-store",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
};

/**
 * A year: https://hstspreload.org asks for no less. Only https may send it (RFC 6797, section 7.2).
 */
const onlyHttps = { "strict-transport-security": "max-age=31536000" };

/** The headers of every answer of a service that is reached at `publicUrl`. */
export function answerHeaders(publicUrl: string): Readonly<Record<string, string>> {
  return publicUrl.startsWith("https:") ? { ...always, ...onlyHttps } : always;
}

/** Adds the headers that an answer does not have yet; returns the answer. */
export function withHeaders(
  response: Response,
  headers: Readonly<Record<string, string>>,
): Response {
  for (const [name, value] of Object.entries(headers))
    if (!response.headers.has(name)) response.headers.set(name, value);
  return response;
}
