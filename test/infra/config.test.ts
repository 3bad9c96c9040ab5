import { expect, test } from "vitest";
import { AppError } from "../../core/errors.ts";
import { defaults, readCloudConfig } from "../../infra/config.ts";

function mistakesOf(context: unknown): string[] {
  try {
    readCloudConfig(context);
  } catch (error) {
    if (error instanceof AppError && error.code === "SETTING_INVALID")
      return error.message.split("\n  ").slice(1);
    throw error;
  }
  return [];
}

test("nothing need be said", () => {
  expect(readCloudConfig(undefined)).toEqual(defaults);
});

test("what is said takes the place of its default, and of nothing else", () => {
  const config = readCloudConfig({ name: "vision-eu", workers: { max: 9 } });
  expect(config).toEqual({
    ...defaults,
    name: "vision-eu",
    workers: { ...defaults.workers, max: 9 },
  });
});

test.each(["constructor", "toString", "__proto__"])("%s is no setting", (name) => {
  const given = JSON.parse(`{"${name}": 1, "workers": {"${name}": 1}}`);
  expect(mistakesOf(given)).toEqual([
    expect.stringContaining(`${name}: no such setting`),
    expect.stringContaining(`workers.${name}: no such setting`),
  ]);
});

test("the command line gives it as JSON", () => {
  expect(readCloudConfig('{"retentionDays": 7}').retentionDays).toBe(7);
  expect(mistakesOf("{retentionDays: 7}")).toEqual(["vedere: this is not JSON"]);
});

test("all mistakes are told at once", () => {
  const mistakes = mistakesOf({
    name: "Vision EU",
    region: "eu-central-1",
    workers: { capacity: "lambda", min: 5, max: 2, instanceTypes: [], gpus: 1 },
    domain: { name: "localhost", certificateArn: "x" },
    retentionDays: 0,
    alarmEmail: "nobody",
    firewall: "arn:aws:wafv2:eu-central-1:1:x",
  });
  const places = [
    "name",
    "region",
    "workers.capacity",
    "workers.instanceTypes",
    "workers.gpus",
    "workers.min",
    "domain.name",
    "domain.certificateArn",
  ];
  for (const place of [...places, "retentionDays", "alarmEmail", "firewall"]) {
    expect(
      mistakes.some((mistake) => mistake.startsWith(`${place}:`)),
      place,
    ).toBe(true);
  }
});

test("a domain and a firewall at once are refused: the address is then CloudFront's", () => {
  const domain = {
    name: "vision.example.com",
    certificateArn: "arn:aws:acm:eu-central-1:111122223333:certificate/1",
  };
  const firewall = "arn:aws:wafv2:us-east-1:111122223333:global/webacl/a/b";
  expect(mistakesOf({ domain })).toEqual([]);
  expect(mistakesOf({ domain, firewall })).toEqual([expect.stringContaining("CloudFront")]);
});
