import type { Scope } from "./tenant.ts";

/**
 * A one-time token of a sign-in link, as it is stored: never its text, only the text's HMAC. It
 * opens one session, with what its key may do in a page.
 */
export interface SignInToken {
  readonly hash: string;
  readonly tenantId: string;
  readonly keyId: string;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

/**
 * What a page of this service may do, and until when, as it is stored: never the text of its
 * cookie. A session admits nobody once its key has expired or is revoked, or its tenant is
 * disabled.
 */
export interface Session {
  readonly hash: string;
  readonly tenantId: string;
  /** The key that the session derives from. */
  readonly keyId: string;
  readonly scopes: readonly Scope[];
  readonly createdAt: number;
  readonly expiresAt: number;
}
