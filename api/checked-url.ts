import { isIP } from "node:net";
import { AppError } from "../core/errors.ts";
import { specialRangeOf } from "./egress.ts";
import { blocked, type EgressSettings, notPublic } from "./guarded-connector.ts";

/**
 * A URL that may be dialled, as far as its text tells: scheme, port, credentials and literal
 * address; a name's addresses are checked when it is looked up. Throws AppError INVALID,
 * SOURCE_BLOCKED.
 */
export function checkedUrl(text: string, settings: Pick<EgressSettings, "allowPrivate">): URL {
  if (!URL.canParse(text))
    throw new AppError("INVALID", "This is no absolute URL.", {
      fix: "Write it like https://example.com/photo.jpg.",
    });
  const url = new URL(text); // turns 0x7f.1, 2130706433 and the like into 127.0.0.1
  if (url.username !== "" || url.password !== "")
    throw blocked("The URL carries credentials.", "Leave user name and password out of it.");
  if (settings.allowPrivate && (url.protocol === "http:" || url.protocol === "https:")) return url;
  if (url.protocol !== "https:") throw blocked("Only https URLs are allowed.");
  if (url.port !== "" && url.port !== "8443")
    throw blocked("Only the ports 443 and 8443 are allowed.");
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  if (isIP(host) !== 0 && specialRangeOf(host)) throw blocked(notPublic);
  return url;
}
