import { AppError } from "../core/errors.ts";

/**
 * How a deployment is set up: the `vedere` context of cdk.json, or `--context vedere=…` as JSON.
 */
export interface CloudConfig {
  /** Prefix of the stacks' names, for several deployments in one account. */
  readonly name: string;
  /**
   * The API's own domain and the ARN of its certificate in the stack's region; null: the address
   * that API Gateway gives.
   */
  readonly domain: { readonly name: string; readonly certificateArn: string } | null;
  /** The default model's name; null: the first that was published. */
  readonly model: string | null;
  /** Preferred numeric forms of weights, as VEDERE_PRECISION. */
  readonly precision: string | null;
  readonly workers: WorkersConfig;
  /** Days after which finished runs, their images and deliveries may be deleted. */
  readonly retentionDays: number;
  /** What one tenant, and one key, may ask for. Null: without limit. */
  readonly unitsPerSecond: number | null;
  readonly unitsPerMonth: number | null;
  /**
   * The ARN of a web ACL of AWS WAF for CloudFront (made in us-east-1), which then stands before
   * the API; null: none does.
   */
  readonly firewall: string | null;
  /** Who hears of alarms; null: nobody. */
  readonly alarmEmail: string | null;
  /** US dollars a month of which an alarm tells; null: none. */
  readonly budgetUsd: number | null;
}

export interface WorkersConfig {
  /** Where they run: GPUs that ECS manages, GPUs of an auto scaling group, or CPUs on Fargate. */
  readonly capacity: "managed" | "asg" | "fargate";
  /** Of the GPUs, the preferred first. */
  readonly instanceTypes: readonly string[];
  readonly min: number;
  readonly max: number;
  /** How long the fleet waits for more work before it ends. */
  readonly idleSeconds: number;
  /** In how long a backlog is to be worked off. */
  readonly drainSeconds: number;
  /** What one worker does, for reckoning: measure it with your own tasks. */
  readonly runsPerMinute: number;
}

export const defaults: CloudConfig = {
  name: "vedere",
  domain: null,
  model: null,
  precision: null,
  workers: {
    capacity: "managed",
    instanceTypes: ["g6.xlarge", "g5.xlarge", "g6.2xlarge"],
    min: 0,
    max: 4,
    idleSeconds: 300,
    drainSeconds: 120,
    runsPerMinute: 120,
  },
  retentionDays: 30,
  unitsPerSecond: null,
  unitsPerMonth: null,
  firewall: null,
  alarmEmail: null,
  budgetUsd: null,
};

type Check = (value: unknown) => string | null;

const text: Check = (value) => (typeof value === "string" && value.trim() !== "" ? null : "a text");
const whole =
  (min: number, max: number): Check =>
  (value) =>
    Number.isInteger(value) && Number(value) >= min && Number(value) <= max
      ? null
      : `a whole number from ${min} to ${max}`;
const matching =
  (pattern: RegExp, what: string): Check =>
  (value) =>
    typeof value === "string" && pattern.test(value) ? null : what;
const optional =
  (check: Check): Check =>
  (value) => {
    const wrong = value === null ? null : check(value);
    return wrong && `${wrong}, or null`;
  };
const list =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.length > 0 && value.every((each) => check(each) === null)
      ? null
      : `a list, each ${check("") ?? "a text"}`;

const workersChecks: Readonly<Record<keyof WorkersConfig, Check>> = {
  capacity: matching(/^(managed|asg|fargate)$/, "managed, asg or fargate"),
  instanceTypes: list(matching(/^[a-z0-9-]+\.[a-z0-9]+$/, "an instance type such as g6.xlarge")),
  min: whole(0, 1_000),
  max: whole(1, 1_000),
  idleSeconds: whole(60, 86_400),
  drainSeconds: whole(10, 86_400),
  runsPerMinute: whole(1, 100_000),
};

const domainChecks: Readonly<Record<string, Check>> = {
  name: matching(/^([a-z0-9-]+\.)+[a-z]{2,}$/, "a domain such as vision.example.com"),
  certificateArn: matching(/^arn:aws[\w-]*:acm:/, "the ARN of a certificate"),
};

const checks: Readonly<Record<keyof CloudConfig, Check>> = {
  name: matching(/^[a-z][a-z0-9-]{0,30}$/, "a name of small letters, digits and dashes"),
  domain: () => null, // its fields are checked one by one
  model: optional(text),
  precision: optional(text),
  workers: () => null,
  retentionDays: whole(1, 3_650),
  unitsPerSecond: optional(whole(1, 100_000_000)),
  unitsPerMonth: optional(whole(1, 999_999_999)),
  firewall: optional(
    matching(/^arn:aws[\w-]*:wafv2:us-east-1:/, "the ARN of a web ACL in us-east-1"),
  ),
  alarmEmail: optional(matching(/^\S+@\S+\.\S+$/, "an e-mail address")),
  budgetUsd: optional(whole(1, 1_000_000)),
};

/** Fills in what is left out. Throws AppError SETTING_INVALID with all mistakes at once. */
export function readCloudConfig(context: unknown): CloudConfig {
  const mistakes: string[] = [];
  const given = fieldsOf(
    typeof context === "string" ? parse(context, mistakes) : (context ?? {}),
    "vedere",
    mistakes,
  );
  const workers = { ...defaults.workers, ...fieldsOf(given.workers ?? {}, "workers", mistakes) };
  const domain = given.domain == null ? null : fieldsOf(given.domain, "domain", mistakes);
  const config = { ...defaults, ...given, workers, domain };
  mistakes.push(...faultsOf(config, checks, ""), ...faultsOf(workers, workersChecks, "workers."));
  if (domain) mistakes.push(...faultsOf(domain, domainChecks, "domain."));
  if (domain && given.firewall)
    mistakes.push(
      "domain: with a firewall the address is CloudFront's; give the domain to that distribution",
    );
  if (Number(workers.min) > Number(workers.max))
    mistakes.push(`workers.min: ${workers.min} is more than workers.max, ${workers.max}`);
  if (mistakes.length === 0) return config as CloudConfig; // every field was checked
  throw new AppError(
    "SETTING_INVALID",
    ['The context "vedere" of cdk.json is wrong:', ...mistakes].join("\n  "),
    {
      fix: "Correct or remove them; infra/config.ts says what each means.",
    },
  );
}

function faultsOf(
  values: Readonly<Record<string, unknown>>,
  known: Readonly<Record<string, Check>>,
  place: string,
): string[] {
  const unknown = Object.keys(values).filter((name) => !Object.hasOwn(known, name));
  const wrong = Object.entries(known).flatMap(([name, check]) => {
    const allowed = check(values[name]);
    return allowed === null
      ? []
      : [`${place}${name}: ${JSON.stringify(values[name])} is not ${allowed}`];
  });
  return [
    ...unknown.map(
      (name) => `${place}${name}: no such setting; there are ${Object.keys(known).join(", ")}`,
    ),
    ...wrong,
  ];
}

function fieldsOf(value: unknown, place: string, mistakes: string[]): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return { ...value };
  mistakes.push(`${place}: ${JSON.stringify(value)} is not an object`);
  return {};
}

function parse(json: string, mistakes: string[]): unknown {
  try {
    return JSON.parse(json);
  } catch {
    mistakes.push("vedere: this is not JSON");
    return {};
  }
}
