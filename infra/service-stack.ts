import { CfnOutput, Duration, RemovalPolicy, Stack, type StackProps } from "aws-cdk-lib";
import { CfnStage, DomainName, HttpApi, HttpMethod } from "aws-cdk-lib/aws-apigatewayv2";
import { HttpLambdaIntegration } from "aws-cdk-lib/aws-apigatewayv2-integrations";
import { Certificate } from "aws-cdk-lib/aws-certificatemanager";
import {
  AllowedMethods,
  CachePolicy,
  Distribution,
  OriginRequestPolicy,
  ViewerProtocolPolicy,
} from "aws-cdk-lib/aws-cloudfront";
import { HttpOrigin } from "aws-cdk-lib/aws-cloudfront-origins";
import { Rule, Schedule } from "aws-cdk-lib/aws-events";
import { LambdaFunction as LambdaTarget } from "aws-cdk-lib/aws-events-targets";
import { SqsEventSource } from "aws-cdk-lib/aws-lambda-event-sources";
import { LogGroup, RetentionDays } from "aws-cdk-lib/aws-logs";
import type { Construct } from "constructs";
import type { CloudConfig } from "./config.ts";
import type { DataStack } from "./data-stack.ts";
import { CloudFunction } from "./function.ts";
import { grant, settingsOf } from "./grants.ts";
import { Monitoring } from "./monitoring.ts";
import { Network } from "./network.ts";
import type { ScalingPolicy } from "./scaling/desired-workers.ts";
import { gatewayTimeout, scalerTimeout, sweeperTimeout, webhooksTimeout } from "./timeouts.ts";
import { Workers } from "./workers.ts";

/** What a worker has in progress where VEDERE_RUNS_AT_ONCE says nothing. */
const defaultRunsAtOnce = 8;

interface ServiceProps extends StackProps {
  readonly config: CloudConfig;
  readonly data: DataStack;
}

/** All that has no state: it can be deleted and made again at any time, and loses nothing. */
export class ServiceStack extends Stack {
  private readonly config: CloudConfig;
  private readonly data: DataStack;
  private readonly settings: Readonly<Record<string, string>>;

  constructor(scope: Construct, id: string, { config, data, ...props }: ServiceProps) {
    super(scope, id, props);
    this.config = config;
    this.data = data;
    this.settings = {
      ...settingsOf(data),
      VEDERE_RETENTION_DAYS: String(config.retentionDays),
      ...(config.model !== null && { VEDERE_MODEL: config.model }),
      ...(config.unitsPerSecond !== null && {
        VEDERE_UNITS_PER_SECOND: String(config.unitsPerSecond),
      }),
      ...(config.unitsPerMonth !== null && {
        VEDERE_UNITS_PER_MONTH: String(config.unitsPerMonth),
      }),
    };
    const network = new Network(this, "Network");
    const workers = new Workers(this, "Workers", { config, data, network });
    const scaler = this.makeScaler(workers);
    const { api, gateway } = this.makeGateway(scaler);
    const webhooks = this.makeWebhooks(network);
    const sweeper = this.makeSweeper();
    new Monitoring(this, "Monitoring", {
      config,
      data,
      api,
      functions: { gateway, webhooks, sweeper, scaler },
    });
    new CfnOutput(this, "FirstSteps", {
      value:
        "npx vedere models publish <model>, then npx vedere tenants create <name>: docs/operations.md says with which settings",
    });
    new CfnOutput(this, "ClusterName", { value: workers.cluster.clusterName });
    new CfnOutput(this, "WorkersService", { value: workers.service.serviceName });
  }

  private makeGateway(scaler: CloudFunction): { api: HttpApi; gateway: CloudFunction } {
    const { config, data } = this;
    const domainName = config.domain && this.makeDomain(config.domain);
    const api = new HttpApi(this, "Api", {
      description: "Vedere: GraphQL at /graphql",
      ...(domainName && { defaultDomainMapping: { domainName }, disableExecuteApiEndpoint: true }),
    });
    const publicUrl = config.domain ? `https://${config.domain.name}` : this.withFirewall(api);
    const gateway = new CloudFunction(this, "Gateway", {
      name: "gateway",
      description: "The GraphQL API",
      timeout: gatewayTimeout,
      memoryMb: 1_769, // one whole processor: images are decoded here
      environment: {
        ...this.settings,
        VEDERE_PUBLIC_URL: publicUrl,
        FLEET_SCALER: scaler.lambda.functionName,
      },
      network: null,
    });
    grant(data, gateway.lambda, [
      "table",
      "images",
      "models",
      "sendRuns",
      "seeRuns",
      "wake",
      "secret",
    ]);
    gateway.allow(["lambda:InvokeFunction"], [scaler.lambda.functionArn]);
    const integration = new HttpLambdaIntegration("GatewayIntegration", gateway.lambda);
    api.addRoutes({ path: "/graphql", methods: [HttpMethod.POST], integration });
    api.addRoutes({ path: "/graphql/stream", methods: [HttpMethod.POST], integration });
    api.addRoutes({ path: "/healthz", methods: [HttpMethod.GET], integration });
    api.addRoutes({ path: "/readyz", methods: [HttpMethod.GET], integration });
    this.logAccess(api);
    new CfnOutput(this, "ApiUrl", { value: `${publicUrl}/graphql` });
    if (domainName)
      new CfnOutput(this, "DomainTarget", {
        value: domainName.regionalDomainName,
        description: "Where the domain's DNS record points",
      });
    return { api, gateway };
  }

  private makeDomain({
    name,
    certificateArn,
  }: {
    name: string;
    certificateArn: string;
  }): DomainName {
    const certificate = Certificate.fromCertificateArn(this, "Certificate", certificateArn);
    return new DomainName(this, "Domain", { domainName: name, certificate });
  }

  /**
   * A web application firewall stands before CloudFront only: HTTP APIs take none. Gives the
   * address that clients use.
   */
  private withFirewall(api: HttpApi): string {
    const { firewall } = this.config;
    if (firewall === null) return api.apiEndpoint;
    const origin = new HttpOrigin(`${api.apiId}.execute-api.${this.region}.${this.urlSuffix}`);
    const distribution = new Distribution(this, "Distribution", {
      comment: "Vedere behind a firewall",
      webAclId: firewall,
      defaultBehavior: {
        origin,
        allowedMethods: AllowedMethods.ALLOW_ALL,
        viewerProtocolPolicy: ViewerProtocolPolicy.HTTPS_ONLY,
        cachePolicy: CachePolicy.CACHING_DISABLED,
        originRequestPolicy: OriginRequestPolicy.ALL_VIEWER_EXCEPT_HOST_HEADER,
      },
    });
    return `https://${distribution.distributionDomainName}`;
  }

  /** The default stage, whose log has no body, no query and no authorization. */
  private logAccess(api: HttpApi): void {
    const log = new LogGroup(this, "AccessLog", {
      retention: RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const stage = api.defaultStage?.node.defaultChild;
    if (!(stage instanceof CfnStage)) throw new Error("The API has no default stage.");
    const fields = {
      requestId: "$context.requestId",
      ip: "$context.identity.sourceIp",
      time: "$context.requestTime",
      route: "$context.routeKey",
      status: "$context.status",
      ms: "$context.responseLatency",
      bytes: "$context.responseLength",
      error: "$context.integrationErrorMessage",
    };
    stage.accessLogSettings = { destinationArn: log.logGroupArn, format: JSON.stringify(fields) };
    stage.defaultRouteSettings = { throttlingRateLimit: 500, throttlingBurstLimit: 1_000 };
  }

  private makeWebhooks({
    vpc,
    webhooks: subnets,
    webhooksGroup: securityGroup,
  }: Network): CloudFunction {
    const webhooks = new CloudFunction(this, "Webhooks", {
      name: "webhooks",
      description: "Delivers webhooks",
      timeout: webhooksTimeout,
      memoryMb: 512,
      environment: this.settings,
      network: { vpc, subnets, securityGroup },
    });
    grant(this.data, webhooks.lambda, [
      "table",
      "seeImages",
      "models",
      "seeRuns",
      "wake",
      "secret",
    ]);
    webhooks.lambda.addEventSource(
      new SqsEventSource(this.data.wakes, {
        batchSize: 10,
        maxBatchingWindow: Duration.seconds(0),
        maxConcurrency: 5,
        reportBatchItemFailures: true,
      }),
    );
    return webhooks;
  }

  private makeSweeper(): CloudFunction {
    const sweeper = new CloudFunction(this, "Sweeper", {
      name: "sweeper",
      description:
        "Every minute: expires runs, sends lost messages again, deletes what is old, wakes the deliverer",
      timeout: sweeperTimeout,
      memoryMb: 512,
      environment: this.settings,
      network: null,
    });
    grant(this.data, sweeper.lambda, [
      "table",
      "eraseImages",
      "sendRuns",
      "seeRuns",
      "wake",
      "secret",
    ]);
    this.everyMinute("SweepEveryMinute", sweeper);
    return sweeper;
  }

  private makeScaler(workers: Workers): CloudFunction {
    const { min, max, runsPerMinute, drainSeconds, idleSeconds } = this.config.workers;
    const policy: ScalingPolicy = {
      min,
      max,
      runsPerWorkerPerMinute: runsPerMinute,
      runsAtOnce: defaultRunsAtOnce,
      targetDrainSeconds: drainSeconds,
      idleGraceSeconds: idleSeconds,
    };
    const { clusterName } = workers.cluster;
    const { serviceName, serviceArn } = workers.service;
    const scaler = new CloudFunction(this, "Scaler", {
      name: "scaler",
      description: "Every minute, and when a run is sent: sets how many workers there are",
      timeout: scalerTimeout,
      memoryMb: 512,
      environment: {
        ...this.settings,
        FLEET_CLUSTER: clusterName,
        FLEET_SERVICE: serviceName,
        FLEET_POLICY: JSON.stringify(policy),
      },
      network: null,
    });
    grant(this.data, scaler.lambda, ["table", "seeImages", "seeRuns", "secret"]);
    scaler.allow(["ecs:DescribeServices", "ecs:UpdateService"], [serviceArn]);
    this.everyMinute("ScaleEveryMinute", scaler);
    return scaler;
  }

  private everyMinute(id: string, { lambda }: CloudFunction): void {
    new Rule(this, id, {
      schedule: Schedule.rate(Duration.minutes(1)),
      targets: [new LambdaTarget(lambda, { retryAttempts: 0 })],
    });
  }
}
