import { AppError } from "./errors.ts";
import { limits } from "./limits.ts";

/**
 * Whether every store keeps a text as it is. Half of a surrogate pair has no bytes in UTF-8: it
 * would become U+FFFD, and two different texts one. A NUL ends a text for some of what reads it.
 */
export function isExact(text: string): boolean {
  return !/\p{Surrogate}/u.test(text) && !text.includes("\0");
}

/**
 * What first cannot be kept exactly, in a value of JSON and anywhere below it, or nests too deep to
 * be walked; null if there is nothing. Its path begins with `path`. Uses no recursion.
 */
export function exactFault(
  value: unknown,
  path: readonly string[],
  depthMax: number = limits.request.valueDepthMax,
): AppError | null {
  const open: Place[] = [{ value, name: "", above: null, depth: 0 }];
  for (let place = open.pop(); place; place = open.pop()) {
    const wrong = faultOf(place.value, place.depth, depthMax);
    if (wrong) return invalid(wrong, [...path, ...namesOf(place)]);
    if (typeof place.value !== "object" || place.value === null) continue;
    for (const [name, inner] of Object.entries(place.value).reverse()) {
      const below = { value: inner, name, above: place, depth: place.depth + 1 };
      if (!isExact(name)) return invalid(wrongText("name"), [...path, ...namesOf(below)]);
      open.push(below);
    }
  }
  return null;
}

interface Place {
  readonly value: unknown;
  readonly name: string;
  readonly above: Place | null;
  /** 0 at the top. */
  readonly depth: number;
}

interface Wrong {
  readonly message: string;
  readonly fix: string;
}

function faultOf(value: unknown, depth: number, depthMax: number): Wrong | null {
  if (typeof value === "string") return isExact(value) ? null : wrongText("text");
  if (typeof value === "number") return numberFault(value);
  if (typeof value === "object" && value !== null && depth >= depthMax)
    return {
      message: `The value nests more than ${depthMax} levels deep.`,
      fix: "Make it flatter, or send it as a text of JSON.",
    };
  return null;
}

/**
 * JSON of numbers beyond a double's exact integers, or its range, means a number here that is not
 * the one that was written.
 */
function numberFault(value: number): Wrong | null {
  if (Number.isFinite(value) && Math.abs(value) <= Number.MAX_SAFE_INTEGER) return null;
  return {
    message: "The number is beyond ±9007199254740991 and cannot be kept exactly.",
    fix: "Send it as a text.",
  };
}

function wrongText(what: "text" | "name"): Wrong {
  return {
    message: `The ${what} holds half of a surrogate pair or the character NUL.`,
    fix: "Send well-formed Unicode without U+0000; encode binary data as base64.",
  };
}

function invalid({ message, fix }: Wrong, path: readonly string[]): AppError {
  return new AppError("INVALID", message, { path, fix });
}

/**
 * From the top to a place. Names are the caller's: long ones are cut, and broken ones mended so
 * that they can be shown.
 */
function namesOf(place: Place): string[] {
  const names: string[] = [];
  for (let at: Place = place; at.above; at = at.above)
    names.push(at.name.replace(/\p{Surrogate}/gu, "\ufffd").slice(0, nameShownMax));
  return names.reverse();
}

const nameShownMax = 64;
