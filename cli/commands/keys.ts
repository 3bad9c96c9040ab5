import { type Command, InvalidArgumentError } from "commander";
import { createKey, type NewKey, rerollKey, revokeKey } from "../../core/api-keys.ts";
import { AppError } from "../../core/errors.ts";
import { type ApiKey, type Scope, scopes, tenantScopes } from "../../core/tenant.ts";
import { usageError } from "../failure.ts";
import {
  instantText,
  type OperatorOptions,
  operate,
  operator,
  operatorOptions,
} from "../operate.ts";
import { alignColumns } from "../print.ts";

interface CreateOptions extends OperatorOptions {
  readonly name: string;
  readonly scopes?: string;
  readonly days?: number;
}

const dayMs = 86_400_000;

/** `vedere keys`: what lets a tenant's programs in. */
export function addKeys(program: Command): void {
  const keys = program
    .command("keys")
    .description("Creates, lists, rerolls and revokes the API keys of tenants.");
  const add = (name: string, description: string) =>
    keys
      .command(name)
      .description(description)
      .option(...operatorOptions.json)
      .option(...operatorOptions.data);
  add("create", "Makes a key. Its text is shown this once; only a hash of its secret is kept.")
    .argument("<tenant>", "the tenant's id")
    .option("--name <text>", "what will use it", "key")
    .option("--scopes <list>", `some of ${scopes.join(",")} (default: all but OPERATOR)`)
    .option("--days <n>", "how long it lives (default: for ever)", parseCount)
    .action(create);
  add("list", "Lists a tenant's keys, dead ones included, newest first.")
    .argument("<tenant>", "the tenant's id")
    .action(list);
  add(
    "reroll",
    "Makes a key of the same name, scopes and end. The old one goes on for a while, so that both can be deployed.",
  )
    .argument("<key>", "the old key's id")
    .option("--grace-seconds <n>", "how long the old key goes on", parseCount, 86_400)
    .action(reroll);
  add("revoke", "Ends a key at once, for good.").argument("<key>", "the key's id").action(revoke);
}

function create(tenantId: string, { name, days, ...options }: CreateOptions): Promise<void> {
  const granted = options.scopes === undefined ? tenantScopes : scopesFrom(options.scopes);
  return operate(
    options,
    (ports) => {
      const expiresAt = days === undefined ? null : ports.clock.now() + days * dayMs;
      return createKey(ports, operator, { tenantId, name, scopes: granted, expiresAt }).then(shown);
    },
    ({ text }) => `${text}\n`,
  );
}

function list(tenantId: string, options: OperatorOptions): Promise<void> {
  return operate(
    options,
    async ({ tenants }) => {
      if (await tenants.get(tenantId)) return (await tenants.keys(tenantId)).map(withoutHash);
      throw new AppError("NOT_FOUND", `There is no tenant ${tenantId}.`, {
        fix: "`vedere tenants list` lists them.",
      });
    },
    (keys, now) =>
      keys.length > 0 ? alignColumns(keys.map((key) => cells(key, now))) : "It has no keys yet.\n",
  );
}

function reroll(
  keyId: string,
  { graceSeconds, ...options }: OperatorOptions & { graceSeconds: number },
): Promise<void> {
  return operate(
    options,
    (ports) => rerollKey(ports, operator, { keyId, graceMs: graceSeconds * 1_000 }).then(shown),
    ({ text }) => `${text}\n`,
  );
}

function revoke(keyId: string, options: OperatorOptions): Promise<void> {
  return operate(
    options,
    async (ports) => withoutHash(await revokeKey(ports, operator, keyId)),
    (key, now) => alignColumns([cells(key, now)]),
  );
}

type ShownKey = Omit<ApiKey, "secretHash">;

function withoutHash({ secretHash: _, ...key }: ApiKey): ShownKey {
  return key;
}

function shown({ text, key }: NewKey): ShownKey & { text: string } {
  return { ...withoutHash(key), text };
}

function cells(key: ShownKey, now: number): string[] {
  const { id, name, createdAt, expiresAt, revokedAt } = key;
  const end =
    expiresAt === null
      ? ""
      : `${expiresAt > now ? "expires" : "expired"} ${instantText(expiresAt)}`;
  const state = revokedAt === null ? end || "does not expire" : `revoked ${instantText(revokedAt)}`;
  return [id, state, `created ${instantText(createdAt)}`, key.scopes.join(","), name];
}

/** Throws AppError INVALID. */
function scopesFrom(list: string): Scope[] {
  return list.split(",").map((word) => {
    const scope = scopes.find((known) => known === word.trim().toUpperCase());
    if (scope) return scope;
    throw usageError(`There is no scope ${word.trim()}.`, `Use some of ${scopes.join(",")}.`);
  });
}

function parseCount(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It is not a whole number.");
}
