import { DescribeServicesCommand, ECSClient, UpdateServiceCommand } from "@aws-sdk/client-ecs";
import { fleetMemory } from "../../adapters/aws/dynamo-fleet.ts";
import { readFleet } from "../../adapters/config.ts";
import { desiredWorkers, neededWorkers, type ScalingPolicy } from "../scaling/desired-workers.ts";
import { type CloudConnection, connectCloud } from "./connect.ts";
import { metricLine } from "./metric-line.ts";

const ecs = new ECSClient({});
let opening: Promise<CloudConnection> | null = null;

/**
 * Every minute, and when a run is sent: sets how many workers there should be. Reads the queue
 * itself: its metrics lag behind by up to 15 minutes.
 */
export async function handler(): Promise<{ running: number; desired: number }> {
  opening ??= connectCloud();
  opening.catch(() => {
    opening = null; // the next minute tries again
  });
  const { ports, table, log } = await opening;
  const { cluster, service, policy: policyText } = readFleet();
  if (cluster === null || service === null || policyText === null)
    throw new Error("FLEET_CLUSTER, FLEET_SERVICE and FLEET_POLICY are needed.");
  const policy: ScalingPolicy = JSON.parse(policyText); // written by the stack, from validated configuration
  const now = ports.clock.now();
  const [{ visible, inFlight, dead }, { services }] = await Promise.all([
    ports.queue.depth(),
    ecs.send(new DescribeServicesCommand({ cluster, services: [service] })),
  ]);
  const running = services?.[0]?.desiredCount;
  if (running === undefined)
    throw new Error(`There is no service ${service} in the cluster ${cluster}.`);
  const idleSince = await fleetMemory(table).idleSince({
    isIdle: neededWorkers({ visible, inFlight }, policy) < running,
    now,
  });
  const desired = desiredWorkers({ visible, inFlight, running, idleSince, now }, policy);
  if (desired !== running)
    await ecs.send(new UpdateServiceCommand({ cluster, service, desiredCount: desired }));
  log.info({ visible, inFlight, dead, running, desired, idleSince }, "scaling");
  const started = services?.[0]?.runningCount ?? 0;
  process.stdout.write(
    metricLine(
      {
        Waiting: visible,
        InProgress: inFlight,
        Workers: started,
        WorkersWanted: desired,
        WorkersMissing: Number(visible > 0 && started === 0),
      },
      now,
    ),
  );
  return { running, desired };
}
