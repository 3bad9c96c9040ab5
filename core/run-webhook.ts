/** A webhook of one run alone, as its creator asked for it. */
export interface RunWebhook {
  readonly url: string;
  /** As `seal` in webhook-secret.ts leaves it. */
  readonly sealedSecret: string;
  /** A GraphQL selection on Run that makes the payload; null: the thin one. */
  readonly payloadQuery: string | null;
}
