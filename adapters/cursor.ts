import { AppError } from "../core/errors.ts";

/** Where a listing by age, newest first, goes on: behind this record. */
export interface Place {
  readonly createdAt: number;
  readonly id: string;
}

/** The place before the newest record that can be. */
const beforeAll: Place = { createdAt: Number.MAX_SAFE_INTEGER, id: "" };

export function cursorOf({ createdAt, id }: Place): string {
  return Buffer.from(`${createdAt} ${id}`).toString("base64url");
}

/** Null: from the newest on. Throws AppError INVALID for what `cursorOf` cannot have made. */
export function placeBehind(cursor: string | null): Place {
  if (cursor === null) return beforeAll;
  const [, createdAt, id] =
    /^(\d{1,15}) (.{1,100})$/.exec(Buffer.from(cursor, "base64url").toString()) ?? [];
  if (createdAt !== undefined && id !== undefined) {
    const place = { createdAt: Number(createdAt), id };
    if (cursorOf(place) === cursor) return place; // decoding base64 passes over what is none
  }
  throw new AppError("INVALID", "This cursor is not one of this list.", {
    path: ["after"],
    fix: "Pass the endCursor of the page before, unchanged.",
  });
}
