import {
  type GraphQLInputType,
  type GraphQLObjectType,
  getNamedType,
  isInputObjectType,
  isNonNullType,
} from "graphql";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildGatewaySchema } from "../../api/schema.ts";
import type { Delivery } from "../../core/webhook.ts";
import { newRun } from "../core/new-run.ts";
import { newDelivery, newEvent } from "../core/new-webhook.ts";
import { everyScalar, requiredArguments, smallest } from "./every-field.ts";
import { runCreate, runInput, send, startGateway, type TestGateway } from "./start.ts";

/** Stands in ada's data, and must stand in nothing that bob can read. */
const sentinel = "ADAS-SECRET-4711";

let gateway: TestGateway;
let owned: readonly string[];
beforeAll(async () => {
  gateway = await startGateway();
  const input = await runInput({
    metadata: { sentinel },
    tasks: [{ ask: { question: sentinel } }],
    idempotencyKey: sentinel,
  });
  const { run } = (await gateway.ask(runCreate, { input })).body.data.runCreate;
  const { targets } = (
    await gateway.ask(
      `mutation { uploadsCreate(input: { files: [{ byteSize: 1, sha256: "${"0".repeat(64)}" }] }) { targets { uploadId } } }`,
    )
  ).body.data.uploadsCreate;
  const { endpoint } = (
    await gateway.ask(
      `mutation { webhookEndpointCreate(input: { url: "https://example.com/${sentinel}", description: "${sentinel}" }) { endpoint { id } } }`,
    )
  ).body.data.webhookEndpointCreate;
  const delivery = newDelivery(
    { tenantId: "ada", event: newEvent(`run_${sentinel}`, 1, "ada") },
    endpoint.id,
  );
  await storeDelivery(delivery);
  owned = [
    run.id,
    run.image.id,
    targets[0].uploadId,
    gateway.keys.ada.slice(9, 31),
    endpoint.id,
    delivery.id,
  ];
});
afterAll(() => gateway.close());

/** By way of the outbox, as every delivery. */
async function storeDelivery(delivery: Delivery): Promise<void> {
  const { runs, webhooks } = gateway.ports;
  const { run } = await runs.create(newRun({ id: `run_${sentinel}`, tenantId: "ada" }), null);
  await runs.replace({ ...run, version: 2, status: "SUCCEEDED", finishedAt: 1 });
  if (!(await webhooks.fanOut(delivery.event, [delivery])))
    throw new Error("The run's event was not in the outbox.");
}

interface Place {
  readonly query: string;
  readonly isSubscription: boolean;
}

/**
 * Every place of the schema that takes an id, as an operation with that id as `$id`: a new field is
 * covered on the day it is added.
 */
function placesOfIds(): Place[] {
  const schema = buildGatewaySchema();
  const roots = {
    query: schema.getQueryType(),
    mutation: schema.getMutationType(),
    subscription: schema.getSubscriptionType(),
  };
  return Object.entries(roots).flatMap(([kind, root]) =>
    Object.values(root?.getFields() ?? {}).flatMap((field) =>
      field.args.flatMap((argument) =>
        literalsWithId(argument.type).map((literal) => {
          const { type } = field;
          const selection =
            "getFields" in getNamedType(type)
              ? everyScalar(getNamedType(type) as GraphQLObjectType)
              : "{ id }";
          const others = requiredArguments(field.args.filter((other) => other !== argument));
          return {
            query: `${kind} ($id: ID!) { ${field.name}(${argument.name}: ${literal}${others}) ${selection} }`,
            isSubscription: kind === "subscription",
          };
        }),
      ),
    ),
  );
}

/** The literals of a type in which one id is `$id` and all else is as small as it can be. */
function literalsWithId(type: GraphQLInputType, depth = 0): string[] {
  if (isNonNullType(type)) return literalsWithId(type.ofType, depth);
  if (String(type) === "ID") return ["$id"];
  const isList = String(type).startsWith("[");
  const named = getNamedType(type);
  if (!isInputObjectType(named) || depth > 4) return [];
  const fields = Object.values(named.getFields());
  const literals = fields.flatMap((field) =>
    literalsWithId(field.type, depth + 1).map((literal) => {
      const others = named.isOneOf
        ? []
        : fields.filter(
            (other) =>
              other !== field && isNonNullType(other.type) && other.defaultValue === undefined,
          );
      return `{ ${[`${field.name}: ${literal}`, ...others.map((other) => `${other.name}: ${smallest(other.type)}`)].join(" ")} }`;
    }),
  );
  return literals.map((literal) => (isList ? `[${literal}]` : literal));
}

async function askAs(key: string, { query, isSubscription }: Place, id: string) {
  const { status, body } = await send(`${gateway.url}/graphql${isSubscription ? "/stream" : ""}`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${key}` },
    body: JSON.stringify({ query, variables: { id } }),
  });
  return { status, text: JSON.stringify(body) };
}

test("for every place that takes an id, another tenant's id is answered, byte for byte, like one that never was", async () => {
  const places = placesOfIds();
  expect(places.map(({ query }) => /\{ (\w+)\(/.exec(query)?.[1])).toEqual(
    expect.arrayContaining([
      "node",
      "run",
      "runCreate",
      "runsCreate",
      "runCancel",
      "runDelete",
      "imageDelete",
      "runProgress",
      "apiKeyReroll",
      "apiKeyRevoke",
      "webhookRedeliver",
    ]),
  );
  expect(places.length).toBeGreaterThanOrEqual(8); // imageId and uploadId each in runCreate and runsCreate
  for (const place of places) {
    for (const id of owned) {
      const never = id.replace(/.{12}$/, "aaaaaaaaaaaa");
      const [theirs, unknown] = [
        await askAs(gateway.keys.bob, place, id),
        await askAs(gateway.keys.bob, place, never),
      ];
      expect(theirs.status).toBe(200);
      expect(theirs.text.replaceAll(id, "ID")).toBe(unknown.text.replaceAll(never, "ID"));
      expect(theirs.text).not.toContain(sentinel);
    }
  }
});

test("the run is still there, unchanged, for its owner", async () => {
  const { body } = await gateway.ask("query ($id: ID!) { run(id: $id) { status metadata } }", {
    id: owned[0],
  });
  expect(body.data.run).toEqual({ status: "QUEUED", metadata: { sentinel } });
});

test("lists, image ids and idempotency keys are a tenant's own", async () => {
  const asBob = `Bearer ${gateway.keys.bob}`;
  const list = await gateway.ask("{ runs { edges { node { id metadata } } } }", {}, asBob);
  expect(list.body.data.runs.edges).toEqual([]);
  const { run, replayed } = (
    await gateway.ask(runCreate, { input: await runInput({ idempotencyKey: sentinel }) }, asBob)
  ).body.data.runCreate;
  expect(replayed).toBe(false);
  expect(owned).not.toContain(run.image.id); // the same bytes have another id: bob does not learn that ada has them
});

test("nothing of a tenant's data stands in the log", () => {
  expect(gateway.logged.length).toBeGreaterThan(10);
  expect(JSON.stringify(gateway.logged)).not.toContain(sentinel);
  expect(JSON.stringify(gateway.logged)).not.toContain(gateway.keys.ada);
});
