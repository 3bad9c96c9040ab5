interface PolicyStatementJson {
  readonly Effect: string;
  readonly Action: string | readonly string[];
  readonly Condition?: object;
}

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { App } from "aws-cdk-lib";
import { Match, Template } from "aws-cdk-lib/assertions";
import { beforeAll, describe, expect, test } from "vitest";
import { limits } from "../../core/limits.ts";
import { buildStacks } from "../../infra/stacks.ts";

interface Resource {
  readonly Type: string;
  // biome-ignore lint/suspicious/noExplicitAny: CloudFormation's own shapes, read by these tests only
  readonly Properties: any;
  readonly DeletionPolicy?: string;
}

/** What CDK itself is set to do, beside our own settings. */
const flags: Record<string, unknown> = JSON.parse(
  readFileSync(join(import.meta.dirname, "../../cdk.json"), "utf8"),
).context;

/** Both stacks of a configuration, without bundles, and what AWS's rules find in them. */
function synthesise(vedere: object): { data: Template; service: Template; findings: string[] } {
  const app = new App({ context: { ...flags, "aws:cdk:bundling-stacks": [], vedere } });
  const { data, service } = buildStacks(app);
  app.synth(); // throws where a rule finds something that nobody has acknowledged
  const report = JSON.parse(readFileSync(join(app.outdir, "validation-report.json"), "utf8"));
  const findings = report.pluginReports.flatMap(
    ({ violations }: { violations: { ruleName: string }[] }) =>
      violations.map(({ ruleName }) => ruleName),
  );
  return { data: Template.fromStack(data), service: Template.fromStack(service), findings };
}

const resourcesOf = (template: Template, type: string): Resource[] =>
  Object.values(template.findResources(type)) as Resource[];
const everything = (template: Template): Resource[] =>
  Object.values(template.toJSON().Resources) as Resource[];

const whole = {
  domain: null,
  alarmEmail: "ops@example.com",
  budgetUsd: 500,
  firewall: "arn:aws:wafv2:us-east-1:111122223333:global/webacl/vedere/1",
  unitsPerSecond: 1_000,
};

describe.each(["managed", "asg", "fargate"] as const)("the stacks with %s workers", (capacity) => {
  let data: Template;
  let service: Template;
  let findings: string[];
  beforeAll(() => {
    ({ data, service, findings } = synthesise({ ...whole, workers: { capacity } }));
  }, 120_000);

  test("pass AWS's own rules, but for what is acknowledged with a reason", () => {
    expect(findings).toEqual([]);
  });

  test("keep what must not be lost, when they are deleted too", () => {
    const kept = [
      "AWS::DynamoDB::GlobalTable",
      "AWS::S3::Bucket",
      "AWS::SQS::Queue",
      "AWS::SecretsManager::Secret",
    ];
    for (const type of kept) {
      const resources = resourcesOf(data, type);
      expect(resources.length, type).toBeGreaterThan(0);
      for (const { DeletionPolicy } of resources) expect(DeletionPolicy, type).toBe("Retain");
      expect(resourcesOf(service, type), type).toEqual([]);
    }
    data.hasResourceProperties("AWS::DynamoDB::GlobalTable", {
      TimeToLiveSpecification: { AttributeName: "expiresAt", Enabled: true },
      Replicas: [
        Match.objectLike({
          DeletionProtectionEnabled: true,
          PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
        }),
      ],
    });
  });

  test("no bucket is public, and all are encrypted and reached by TLS only", () => {
    for (const { Properties } of resourcesOf(data, "AWS::S3::Bucket")) {
      expect(Properties.PublicAccessBlockConfiguration).toEqual({
        ...{
          BlockPublicAcls: true,
          BlockPublicPolicy: true,
          IgnorePublicAcls: true,
          RestrictPublicBuckets: true,
        },
      });
      expect(Properties.BucketEncryption).toBeDefined();
    }
    const policies = resourcesOf(data, "AWS::S3::BucketPolicy");
    expect(policies).toHaveLength(resourcesOf(data, "AWS::S3::Bucket").length);
    for (const policy of policies)
      expect(JSON.stringify(policy)).toContain('"aws:SecureTransport":"false"');
  });

  test("every queue has dead letters, and hides a message for longer than the work on it takes", () => {
    const queues = Object.entries(data.findResources("AWS::SQS::Queue"));
    const dead = queues
      .map(([, { Properties }]) => Properties.RedrivePolicy?.deadLetterTargetArn["Fn::GetAtt"][0])
      .filter(Boolean);
    for (const [id, { Properties }] of queues) {
      if (dead.includes(id)) continue;
      expect(Properties.RedrivePolicy.maxReceiveCount, id).toBeGreaterThan(
        id.startsWith("Runs") ? limits.lease.attemptsMax : 1,
      );
    }
    const visibilityOf = (prefix: string) =>
      queues.find(([id]) => id.startsWith(prefix))?.[1].Properties.VisibilityTimeout;
    expect(visibilityOf("Runs")).toBeGreaterThan(limits.lease.leaseMs / 1_000);
    const [webhooks] = resourcesOf(service, "AWS::Lambda::Function").filter(
      ({ Properties }) => Properties.Description === "Delivers webhooks",
    );
    expect(visibilityOf("Wakes")).toBeGreaterThanOrEqual(6 * webhooks?.Properties.Timeout);
    expect(webhooks?.Properties.Timeout).toBeGreaterThan(limits.webhook.timeoutMs / 1_000);
  });

  test("no role of ours may do everything with anything", () => {
    const policies = resourcesOf(service, "AWS::IAM::Policy");
    expect(policies.length).toBeGreaterThan(4);
    for (const { Properties } of policies) {
      for (const { Action, Effect } of Properties.PolicyDocument.Statement) {
        if (Effect === "Allow") expect([Action].flat()).not.toContain("*");
      }
    }
    expect(JSON.stringify(service.toJSON())).not.toContain("dynamodb:Scan");
    expect(JSON.stringify(service.toJSON())).not.toContain("dynamodb:*");
  });

  test("whoever may write the table may not change or delete an entry of the audit log", () => {
    const statements = resourcesOf(service, "AWS::IAM::Policy").map(
      ({ Properties }): PolicyStatementJson[] => Properties.PolicyDocument.Statement,
    );
    const writing = statements.filter((all) =>
      all.some(
        ({ Effect, Action }) =>
          Effect === "Allow" && /dynamodb:\w*(Put|Write|Update|Delete)/.test(`${Action}`),
      ),
    );
    expect(writing.length).toBeGreaterThan(2);
    for (const all of writing) {
      const [denied] = all.filter(({ Effect }) => Effect === "Deny");
      expect(denied?.Condition).toEqual({
        "ForAnyValue:StringLike": { "dynamodb:LeadingKeys": ["AUDIT#*"] },
      });
      for (const action of ["UpdateItem", "DeleteItem", "BatchWriteItem"])
        expect(denied?.Action).toContain(`dynamodb:${action}`);
    }
  });

  test("the functions run on Node.js 24 on ARM, and the gateway answers before API Gateway gives up", () => {
    const ours = resourcesOf(service, "AWS::Lambda::Function");
    expect(ours).toHaveLength(4);
    for (const { Properties } of ours)
      expect(Properties).toMatchObject({
        Runtime: "nodejs24.x",
        Architectures: ["arm64"],
        Handler: "index.handler",
      });
    const gateway = ours.find(({ Properties }) => Properties.Description === "The GraphQL API");
    expect(gateway?.Properties.Timeout).toBeLessThan(30);
    service.hasResourceProperties("AWS::Lambda::EventSourceMapping", {
      FunctionResponseTypes: ["ReportBatchItemFailures"],
      ScalingConfig: { MaximumConcurrency: 5 },
    });
  });

  test("the secret is in no variable, no output and no template", () => {
    for (const { Properties } of resourcesOf(service, "AWS::Lambda::Function")) {
      expect(Properties.Environment.Variables).toHaveProperty("VEDERE_SECRET_ARN");
      expect(Properties.Environment.Variables).not.toHaveProperty("VEDERE_SECRET");
    }
    expect(JSON.stringify(service.toJSON())).not.toContain("{{resolve:secretsmanager");
  });

  test("webhooks go out through subnets that end everything internal", () => {
    const denied = resourcesOf(service, "AWS::EC2::NetworkAclEntry").filter(
      ({ Properties }) => Properties.RuleAction === "deny" && Properties.Egress,
    );
    expect(denied.map(({ Properties }) => Properties.CidrBlock)).toEqual(
      expect.arrayContaining(["10.0.0.0/8", "169.254.0.0/16"]),
    );
    const groups = resourcesOf(service, "AWS::EC2::SecurityGroup").flatMap(
      ({ Properties }) => Properties.SecurityGroupIngress ?? [],
    );
    expect(groups).toEqual([]);
  });

  test("workers stop gracefully, on a file system that they cannot change, from none", () => {
    service.hasResourceProperties("AWS::ECS::TaskDefinition", {
      ContainerDefinitions: [Match.objectLike({ StopTimeout: 120, ReadonlyRootFilesystem: true })],
    });
    service.hasResourceProperties("AWS::ECS::Service", { DesiredCount: 0 });
    const gpus = resourcesOf(service, "AWS::ECS::TaskDefinition").flatMap(
      ({ Properties }) => Properties.ContainerDefinitions[0].ResourceRequirements ?? [],
    );
    expect(gpus).toEqual(capacity === "fargate" ? [] : [{ Type: "GPU", Value: "1" }]);
  });

  test("alarms tell of dead letters, of runs that wait and of workers that do not come", () => {
    const alarms = resourcesOf(service, "AWS::CloudWatch::Alarm");
    expect(alarms.map(({ Properties }) => Properties.AlarmDescription).join("\n")).toMatch(
      /killed every worker[\s\S]*waiting for more than 15[\s\S]*no worker has started/,
    );
    for (const { Properties } of alarms) expect(Properties.AlarmActions).toHaveLength(1);
    service.resourceCountIs("AWS::CloudWatch::Dashboard", 1);
    service.resourceCountIs("AWS::Budgets::Budget", 1);
  });

  test("fit every region and account", () => {
    for (const template of [data, service])
      expect(JSON.stringify(everything(template))).not.toMatch(
        /eu-central-1|us-west-2|\b\d{12}\.dkr/,
      );
  });
});

test("the table is the one that the adapters are tested on", () => {
  const { data } = synthesise({});
  const [table] = resourcesOf(data, "AWS::DynamoDB::GlobalTable");
  expect(
    table?.Properties.GlobalSecondaryIndexes.map(
      ({ IndexName }: { IndexName: string }) => IndexName,
    ),
  ).toEqual([...["byOwner", "byStatus", "byQueue", "byDue"]]);
}, 60_000);

test("each function is bundled, from its own file", () => {
  const app = new App({ context: { ...flags, "vedere:withoutSharp": true } });
  const { service } = buildStacks(app);
  const { directory } = app.synth();
  const functions = resourcesOf(Template.fromStack(service), "AWS::Lambda::Function");
  const assets = functions.map(({ Properties }) =>
    String(Properties.Code.S3Key).replace(".zip", ""),
  );
  expect(new Set(assets).size).toBe(4);
  const own = {
    "The GraphQL API": "This address answers whole responses only",
    "Delivers webhooks": "webhooks could not be delivered",
    "Every minute: expires": "awaited",
    "Every minute, and when": "FLEET_POLICY are needed",
  };
  for (const [i, { Properties }] of functions.entries()) {
    const bundle = readFileSync(join(directory, `asset.${assets[i]}`, "index.mjs"), "utf8");
    for (const [start, mark] of Object.entries(own))
      expect(bundle.includes(mark), mark).toBe(Properties.Description.startsWith(start));
  }
}, 60_000);
