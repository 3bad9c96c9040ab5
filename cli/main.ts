#!/usr/bin/env node
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0); // the reader has seen enough: `vedere … | head`
  const reason = error.code === "ENOSPC" ? "the disk is full" : error.message;
  process.stderr.write(
    `error: The output cannot be written: ${reason}.\nfix: Send it to another file or disk.\n`,
  );
  process.exit(1);
});

try {
  const { runCommandLine } = await import("./program.ts"); // not at the top: a native package that does not load is told, not thrown
  await runCommandLine();
} catch (error) {
  const reason = error instanceof Error ? error.message : String(error);
  process.stderr.write(
    `error: Vedere cannot be loaded: ${reason}\nfix: Run \`npm ci\` again, on this machine and with this version of Node.js.\n`,
  );
  process.exitCode = 1;
}
