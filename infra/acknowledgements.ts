import { type Stack, Validations } from "aws-cdk-lib";
import type { IConstruct } from "constructs";
import type { DataStack } from "./data-stack.ts";
import type { ServiceStack } from "./service-stack.ts";

interface Finding {
  /** From the stack; a construct that a configuration does not make is passed over. */
  readonly path: string;
  readonly rule: string;
  readonly reason: string;
}

/**
 * Findings of AWS's rules that stand, each with why. Everything else that the rules find makes the
 * synthesis fail.
 */
export function acknowledgeFindings({
  data,
  service,
}: {
  data: DataStack;
  service: ServiceStack;
}): void {
  for (const finding of ofData) acknowledge(data, finding);
  for (const finding of [...ofApi, ...ofWebhooks, ...ofWorkers, ...ofFirewall, ...ofRoles(data)])
    acknowledge(service, finding);
}

const ofData: readonly Finding[] = [
  {
    path: "Secret",
    rule: "SMG4",
    reason:
      "Another secret would invalidate every API key at once: it is changed by hand, as docs/operations.md says.",
  },
];

const routes = ["POST--graphql", "POST--graphql--stream", "GET--healthz", "GET--readyz"];
const ofApi: readonly Finding[] = routes.map((route) => ({
  path: `Api/${route}`,
  rule: "APIG4",
  reason:
    "The gateway authenticates by API key before it parses anything; health checks tell nothing.",
}));

const ofWebhooks: readonly Finding[] = [
  {
    path: "Network/WebhooksAcl",
    rule: "VPC3",
    reason:
      "Security groups cannot deny: the list keeps webhooks from internal addresses should the guard in the code ever fail.",
  },
  {
    path: "Webhooks/Role",
    rule: "IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole]",
    reason: "What Lambda needs for its network interfaces, which cannot be named before they are.",
  },
];

const ofWorkers: readonly Finding[] = [
  {
    path: "Workers/Task",
    rule: "ECS2",
    reason: "The variables are names of resources; the secret itself is read from Secrets Manager.",
  },
  {
    path: "Workers/Task/ExecutionRole",
    rule: "IAM5[Resource::*]",
    reason: "ecr:GetAuthorizationToken knows no resource.",
  },
  {
    path: "Workers/Task/TaskRole",
    rule: "IAM5[Resource::arn:<AWS::Partition>:ecs:<AWS::Region>:<AWS::AccountId>:task/<WorkersCluster2E9BA3A7>/*]",
    reason:
      "A task protects itself, whose id is not known before it runs; the cluster holds nothing but workers.",
  },
  {
    path: "Workers/InfrastructureRole",
    rule: "IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/AmazonECSInfrastructureRolePolicyForManagedInstances]",
    reason: "The policy that ECS asks for to manage instances; it grows with the service.",
  },
  {
    path: "Workers/Gpus/InstanceRole",
    rule: "IAM5[Resource::*]",
    reason: "The agent of ECS registers an instance that has no name yet.",
  },
  {
    path: "Workers/Gpus/InstanceRole",
    rule: "IAM5[Resource::arn:<AWS::Partition>:ecs:<AWS::Region>:<AWS::AccountId>:container-instance/*]",
    reason: "The agent of ECS speaks for its instance, whose id is not known before it runs.",
  },
  {
    path: "Workers/InstanceRole",
    rule: "IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role]",
    reason: "The policy that the agent of ECS asks for; it grows with the service.",
  },
  {
    path: "Workers/InstanceRole",
    rule: "IAM5[Action::ecs:Submit*]",
    reason: "How the agent of ECS reports on tasks.",
  },
  {
    path: "Workers/InstanceRole",
    rule: "IAM5[Resource::*]",
    reason: "The agent of ECS registers an instance that has no name yet.",
  },
  {
    path: "Workers/Group",
    rule: "AS3",
    reason: "Instances come and go by the minute; alarms tell of runs that wait.",
  },
  {
    path: "Workers/Group",
    rule: "EC26",
    reason: "The rule cannot read launch templates; ours encrypts its volume.",
  },
];

const ofFirewall: readonly Finding[] = [
  { path: "Distribution", rule: "CFR1", reason: "The API is for callers anywhere." },
  { path: "Distribution", rule: "CFR3", reason: "The API behind it logs every request." },
  {
    path: "Distribution",
    rule: "CFR4",
    reason: "The default certificate of CloudFront; a distribution of one's own sets TLS 1.2.",
  },
];

/** Rights on what lies below a resource of ours: its indexes, its objects. */
function ofRoles({ stackName }: DataStack): Finding[] {
  const functions = ["Gateway/Role", "Webhooks/Role", "Sweeper/Role", "Scaler/Role"];
  const below = (resource: string, rest: string) =>
    `IAM5[Resource::${stackName}:ExportsOutputFnGetAtt${resource}/${rest}]`;
  const table = below("TableCD117FA1ArnE2C8C204", "index/*");
  const images = below("Images2D38C313Arn6C6DDC6E", "tenants/*");
  const models = below("ModelsC55D3500ArnC820EBA0", "*");
  const on = (paths: readonly string[], rule: string, reason: string) =>
    paths.map((path) => ({ path, rule, reason }));
  return [
    ...on(
      [...functions, "Workers/Task/TaskRole"],
      table,
      "The indexes of our one table, and nothing else below it.",
    ),
    ...on(
      ["Gateway/Role", "Sweeper/Role", "Workers/Task/TaskRole"],
      images,
      "Images of all tenants: the code puts the tenant first in every key.",
    ),
    ...on(
      ["Gateway/Role", "Webhooks/Role", "Workers/Task/TaskRole"],
      models,
      "Every published model is for every worker.",
    ),
  ];
}

function acknowledge(stack: Stack, { path, rule, reason }: Finding): void {
  const construct = path
    .split("/")
    .reduce<IConstruct | undefined>((at, name) => at?.node.tryFindChild(name), stack);
  if (construct) Validations.of(construct).acknowledge({ id: `AwsSolutions-${rule}`, reason });
}
