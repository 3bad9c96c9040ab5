import { Duration } from "aws-cdk-lib";
import type { HttpApi } from "aws-cdk-lib/aws-apigatewayv2";
import { CfnBudget } from "aws-cdk-lib/aws-budgets";
import {
  Alarm,
  ComparisonOperator,
  Dashboard,
  GraphWidget,
  type IMetric,
  MathExpression,
  Metric,
  TreatMissingData,
} from "aws-cdk-lib/aws-cloudwatch";
import { SnsAction } from "aws-cdk-lib/aws-cloudwatch-actions";
import { Topic } from "aws-cdk-lib/aws-sns";
import { EmailSubscription } from "aws-cdk-lib/aws-sns-subscriptions";
import { Construct } from "constructs";
import type { CloudConfig } from "./config.ts";
import type { DataStack } from "./data-stack.ts";
import type { CloudFunction } from "./function.ts";
import { metricNamespace } from "./functions/metric-line.ts";

interface MonitoringProps {
  readonly config: CloudConfig;
  readonly data: DataStack;
  readonly api: HttpApi;
  readonly functions: Readonly<Record<string, CloudFunction>>;
}

const minute = Duration.minutes(1);

/**
 * Alarms that somebody has to act on, and one page that shows how the service is.
 * docs/operations.md says what to do about each.
 */
export class Monitoring extends Construct {
  private readonly topic: Topic | null;

  constructor(scope: Construct, id: string, { config, data, api, functions }: MonitoringProps) {
    super(scope, id);
    this.topic = config.alarmEmail === null ? null : this.makeTopic(config.alarmEmail);
    const fleet = (metricName: string, statistic = "Maximum") =>
      new Metric({ namespace: metricNamespace, metricName, statistic, period: minute });
    const oldest = data.runs.metricApproximateAgeOfOldestMessage({ period: minute });
    const requests = api.metricCount({ period: Duration.minutes(5) });
    const failures = api.metricServerError({ period: Duration.minutes(5) });
    const failureShare = new MathExpression({
      expression: "100 * failures / MAX([requests, 1])",
      usingMetrics: { failures, requests },
      period: Duration.minutes(5),
    });

    this.alarm(
      "DeadRuns",
      "A run killed every worker that tried it.",
      data.deadRuns.metricApproximateNumberOfMessagesVisible({ period: minute }),
      { above: 0 },
    );
    this.alarm(
      "DeadWakes",
      "Webhooks fail on our side.",
      data.deadWakes.metricApproximateNumberOfMessagesVisible({ period: minute }),
      {
        above: 0,
      },
    );
    this.alarm("OldestRun", "A run has been waiting for more than 15 minutes.", oldest, {
      above: 900,
      minutes: 3,
    });
    this.alarm(
      "NoWorkers",
      "Runs wait, and for 10 minutes no worker has started.",
      fleet("WorkersMissing"),
      { above: 0, minutes: 10 },
    );
    this.alarm(
      "FailedRequests",
      "More than 5 % of all requests failed on our side.",
      failureShare,
      { above: 5, minutes: 2 },
    );
    for (const [name, { lambda }] of Object.entries(functions)) {
      const errors = lambda.metricErrors({ period: Duration.minutes(5) });
      this.alarm(`Errors-${name}`, `The function ${name} fails.`, errors, { above: 2 });
    }
    if (config.budgetUsd !== null && config.alarmEmail !== null)
      this.makeBudget(config.name, config.budgetUsd, config.alarmEmail);

    new Dashboard(this, "Dashboard", {
      dashboardName: `${config.name}-service`,
      widgets: [
        [
          graph("Runs", [fleet("Waiting"), fleet("InProgress")]),
          graph("Workers", [fleet("Workers"), fleet("WorkersWanted")]),
          graph("Oldest run, seconds", [oldest]),
        ],
        [
          graph("Requests", [requests, failures]),
          graph("Latency, ms", [
            api.metricLatency({ statistic: "p50" }),
            api.metricLatency({ statistic: "p99" }),
          ]),
          graph(
            "Errors of functions",
            Object.values(functions).map(({ lambda }) => lambda.metricErrors()),
          ),
        ],
      ],
    });
  }

  private makeTopic(email: string): Topic {
    const topic = new Topic(this, "Alarms", { enforceSSL: true });
    topic.addSubscription(new EmailSubscription(email));
    return topic;
  }

  private alarm(
    id: string,
    alarmDescription: string,
    metric: IMetric,
    { above, minutes = 1 }: { above: number; minutes?: number },
  ): void {
    const alarm = new Alarm(this, id, {
      alarmDescription,
      metric,
      threshold: above,
      comparisonOperator: ComparisonOperator.GREATER_THAN_THRESHOLD,
      evaluationPeriods: minutes,
      datapointsToAlarm: minutes,
      treatMissingData: TreatMissingData.NOT_BREACHING,
    });
    if (this.topic) alarm.addAlarmAction(new SnsAction(this.topic));
  }

  private makeBudget(name: string, amount: number, address: string): void {
    const notification = {
      comparisonOperator: "GREATER_THAN",
      threshold: 80,
      thresholdType: "PERCENTAGE",
      notificationType: "ACTUAL",
    };
    new CfnBudget(this, "Budget", {
      budget: {
        budgetName: name,
        budgetType: "COST",
        timeUnit: "MONTHLY",
        budgetLimit: { amount, unit: "USD" },
      },
      notificationsWithSubscribers: [
        { notification, subscribers: [{ subscriptionType: "EMAIL", address }] },
      ],
    });
  }
}

function graph(title: string, left: IMetric[]): GraphWidget {
  return new GraphWidget({ title, left, width: 8, height: 6 });
}
