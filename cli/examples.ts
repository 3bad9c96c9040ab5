import type { Command } from "commander";

/**
 * What each command's help shows, by its path. A test runs them, and fails for a command without
 * one.
 */
export const examples: Readonly<Record<string, readonly string[]>> = {
  start: ["vedere start", "vedere start --port 8080 --workers 2 --data /srv/vedere"],
  gateway: ["vedere gateway --port 4001"],
  link: ["vedere link"],
  worker: ["vedere worker --data /srv/vedere"],
  deliver: ["vedere deliver --data /srv/vedere"],
  analyze: [
    "vedere analyze models/samples/harbour.jpg",
    "vedere analyze models/samples --task detect-objects --task read-text --out annotated/",
    'vedere analyze models/samples/harbour.jpg --task ask --text "what is on the left?" --json',
  ],
  "models list": ["vedere models list --json"],
  "models pull": ["vedere models pull florence-2-base-ft --precision fp32"],
  "models alias": ["vedere models alias ocr florence-2-nano"],
  "models unalias": ["vedere models unalias ocr"],
  "models publish": ["vedere models publish florence-2-base-ft"],
  "models verify": ["vedere models verify florence-2-nano"],
  "models build": ["vedere models build ./my-checkpoint --id invoices --precision int8"],
  "models compare": [
    "vedere models compare florence-2-nano invoices --images models/samples --tasks caption",
  ],
  "tenants create": ['vedere tenants create "Grace & Co"'],
  "tenants list": ["vedere tenants list --json"],
  "tenants disable": ["vedere tenants disable TENANT_ID"],
  "tenants enable": ["vedere tenants enable TENANT_ID"],
  "tenants delete": ["vedere tenants delete TENANT_ID --yes"],
  "tenants export": ['vedere tenants export "Grace & Co" exports/grace'],
  "tenants limits": ["vedere tenants limits TENANT_ID --units-per-month 500000"],
  "keys create": ["vedere keys create TENANT_ID --name shop --scopes RUNS_READ,RUNS_WRITE"],
  "keys list": ["vedere keys list TENANT_ID"],
  "keys reroll": ["vedere keys reroll KEY_ID --grace-seconds 3600"],
  "keys revoke": ["vedere keys revoke KEY_ID"],
  "audit list": ["vedere audit list --from 2026-01-31"],
  "audit export": ["vedere audit export --tenant TENANT_ID > audit.jsonl"],
  backup: ["vedere backup /backups/monday --data /srv/vedere"],
  restore: ["vedere restore /backups/monday --data /srv/vedere --force"],
  storage: ["vedere storage", "vedere storage --tenants --json"],
  doctor: ["vedere doctor --json"],
};

/** Adds to each command's help its examples. */
export function showExamples(command: Command, path: readonly string[] = []): void {
  const lines = examples[path.join(" ")];
  if (lines) {
    const shown = lines.map((line) => `\n  $ ${line}`).join("");
    command.addHelpText("after", `\n${lines.length > 1 ? "Examples" : "Example"}:${shown}`);
  }
  for (const child of command.commands) showExamples(child, [...path, child.name()]);
}
