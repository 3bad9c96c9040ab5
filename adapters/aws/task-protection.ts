import type { Lease, Queue } from "../../core/ports.ts";

/** Longer than any run takes; it ends by itself where a worker has died. */
const protectedMinutes = 20;

/**
 * Keeps ECS from ending this task while it holds messages: scaling in and deployments then take
 * idle workers first. `agentUri` is where the agent of ECS listens (ECS_AGENT_URI). A task that
 * cannot be protected gives its message back.
 */
export function protectedQueue(
  queue: Queue,
  agentUri: string,
  logError: (fields: object, message: string) => void,
): Queue {
  const held = new Set<string>();
  const protect = async (isProtected: boolean) => {
    const response = await fetch(`${agentUri}/task-protection/v1/state`, {
      method: "PUT",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        ProtectionEnabled: isProtected,
        ...(isProtected && { ExpiresInMinutes: protectedMinutes }),
      }),
    });
    const answer: unknown = await response.json();
    const isRefused =
      typeof answer === "object" && answer !== null && ("failure" in answer || "error" in answer);
    if (!response.ok || isRefused)
      throw new Error(`ECS does not change the protection of this task: ${JSON.stringify(answer)}`);
  };
  const ended = async (lease: Lease) => {
    held.delete(lease.receipt);
    if (held.size > 0) return;
    await protect(false).catch((err: unknown) =>
      logError({ err }, "this task stays protected for a while"),
    );
  };
  return {
    ...queue,
    async receive(options) {
      const leases = await queue.receive(options);
      if (leases.length === 0) return leases;
      try {
        await protect(true); // anew for each, so that it does not run out
      } catch (err) {
        logError({ err }, "this task cannot be protected; its messages are given back");
        await Promise.all(leases.map((lease) => queue.release(lease, 0)));
        throw err;
      }
      for (const { receipt } of leases) held.add(receipt);
      return leases;
    },
    async extend(lease, leaseMs) {
      const isHeld = await queue.extend(lease, leaseMs);
      if (!isHeld) await ended(lease);
      return isHeld;
    },
    async remove(lease) {
      await queue.remove(lease);
      await ended(lease);
    },
    async release(lease, delayMs) {
      await queue.release(lease, delayMs);
      await ended(lease);
    },
    async bury(lease, reason) {
      await queue.bury(lease, reason);
      await ended(lease);
    },
  };
}
