/**
 * The URL of a request's target; null if the target is not the plain path that it looks like. Paths
 * of this service hold neither percent-encoding nor dot segments, empty segments or backslashes. A
 * proxy may read those otherwise than the URL standard does, and apply the rule of another path.
 * Only the origin-form is taken, `/path?query` (RFC 9112, section 3.2.1).
 */
export function parseTarget(target: string): URL | null {
  const [path = ""] = target.split("?", 1);
  if (!/^(\/[\w.~-]*)+$/.test(path) || /\/\//.test(path) || target.includes("#")) return null;
  if (!URL.canParse(target, base)) return null;
  const url = new URL(target, base);
  return url.pathname === path && url.origin === base ? url : null;
}

const base = "http://gateway";
