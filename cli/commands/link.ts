import type { Command } from "commander";
import { connectTenants } from "../../adapters/connect.ts";
import { AppError } from "../../core/errors.ts";
import { readDataConfig } from "../data-folder.ts";
import { localKey } from "../local-tenant.ts";
import { operatorOptions } from "../operate.ts";
import { servesPage, signInLink } from "../sign-in-link.ts";

interface LinkOptions {
  readonly data?: string;
  readonly host?: string;
  readonly port?: string;
}

/** `vedere link`: a new sign-in link for the page of a service on this machine. */
export function addLink(program: Command): void {
  program
    .command("link")
    .description("Prints a link that signs a browser on this machine in, once, within 15 minutes.")
    .option(...operatorOptions.data)
    .option("--host <address>", "where the service listens (default: 127.0.0.1)")
    .option("--port <number>", "the service's port (default: 4000)")
    .action(link);
}

async function link({ data, host, port }: LinkOptions): Promise<void> {
  const config = readDataConfig({ dataDir: data, host, port });
  if (!servesPage(config)) throw noPage();
  const { pepper, close, ...ports } = await connectTenants(config);
  try {
    const key = await localKey({ ...ports, secret: pepper }, config.dataDir);
    const text = await signInLink({ ...ports, pepper }, config, key.text);
    if (text === null) throw noPage();
    process.stdout.write(`${text}\n`);
  } finally {
    close();
  }
}

function noPage(): AppError {
  return new AppError("SETTING_INVALID", "This service serves no page, so there is no link.", {
    fix: "The page needs the embedded store, and a host and a public URL of this machine.",
  });
}
