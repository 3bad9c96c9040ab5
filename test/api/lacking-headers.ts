/** What every answer carries, whatever it says: https://owasp.org/www-project-secure-headers/ */
const expected: Readonly<Record<string, RegExp>> = {
  "content-security-policy": /default-src 'none'.*frame-ancestors 'none'/,
  "cache-control": /^no-(store|cache)/,
  "cross-origin-opener-policy": /^same-origin$/,
  "cross-origin-resource-policy": /^same-origin$/,
  "permissions-policy": /camera=\(\)/,
  "referrer-policy": /^no-referrer$/,
  "x-content-type-options": /^nosniff$/,
  "x-frame-options": /^DENY$/,
};

/** The headers that an answer lacks, or that say something else, with what they say. */
export function lackingHeaders(headers: Headers): string[] {
  return Object.entries(expected).flatMap(([name, pattern]) => {
    const value = headers.get(name) ?? "";
    return pattern.test(value) ? [] : [`${name}: ${value}`];
  });
}
