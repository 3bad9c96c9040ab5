import { RemovalPolicy } from "aws-cdk-lib";
import {
  AclCidr,
  AclTraffic,
  Action,
  FlowLogDestination,
  GatewayVpcEndpointAwsService,
  NetworkAcl,
  Peer,
  Port,
  SecurityGroup,
  type SubnetSelection,
  SubnetType,
  TrafficDirection,
  Vpc,
} from "aws-cdk-lib/aws-ec2";
import { LogGroup, RetentionDays } from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";

/**
 * What no webhook may reach, should the guard in the code ever fail (api/egress.ts has the whole
 * list).
 */
const internal = [
  "10.0.0.0/8",
  "172.16.0.0/12",
  "192.168.0.0/16",
  "100.64.0.0/10",
  "169.254.0.0/16",
];

/**
 * The network of workers and webhooks: out by one NAT gateway, in by nothing. Webhooks have subnets
 * whose access list ends everything internal.
 */
export class Network extends Construct {
  readonly vpc: Vpc;
  readonly workers: SubnetSelection = { subnetGroupName: "Workers" };
  readonly webhooks: SubnetSelection = { subnetGroupName: "Webhooks" };
  readonly workersGroup: SecurityGroup;
  readonly webhooksGroup: SecurityGroup;

  constructor(scope: Construct, id: string) {
    super(scope, id);
    this.vpc = new Vpc(this, "Vpc", {
      maxAzs: 2,
      natGateways: 1,
      restrictDefaultSecurityGroup: false, // the rules of ours are written out; the custom resource for the default group is not worth its role
      subnetConfiguration: [
        { name: "Public", subnetType: SubnetType.PUBLIC, cidrMask: 24, mapPublicIpOnLaunch: false },
        { name: "Workers", subnetType: SubnetType.PRIVATE_WITH_EGRESS, cidrMask: 20 },
        { name: "Webhooks", subnetType: SubnetType.PRIVATE_WITH_EGRESS, cidrMask: 24 },
      ],
      gatewayEndpoints: {
        S3: { service: GatewayVpcEndpointAwsService.S3 },
        DynamoDb: { service: GatewayVpcEndpointAwsService.DYNAMODB },
      },
    });
    const log = new LogGroup(this, "FlowLog", {
      retention: RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    this.vpc.addFlowLog("Flow", { destination: FlowLogDestination.toCloudWatchLogs(log) });
    this.workersGroup = this.makeGroup("WorkersGroup", "Workers of runs", [443]);
    this.webhooksGroup = this.makeGroup("WebhooksGroup", "Deliverers of webhooks", [443, 8443]);
    this.closeInternal();
  }

  private makeGroup(id: string, description: string, ports: readonly number[]): SecurityGroup {
    const group = new SecurityGroup(this, id, {
      vpc: this.vpc,
      description,
      allowAllOutbound: false,
    });
    for (const port of ports)
      group.addEgressRule(Peer.anyIpv4(), Port.tcp(port), `Out to port ${port}`);
    return group;
  }

  private closeInternal(): void {
    const acl = new NetworkAcl(this, "WebhooksAcl", {
      vpc: this.vpc,
      subnetSelection: this.webhooks,
    });
    for (const [i, block] of internal.entries()) {
      acl.addEntry(`No${block.replaceAll(/\W/g, "-")}`, {
        ruleNumber: 10 + i,
        direction: TrafficDirection.EGRESS,
        cidr: AclCidr.ipv4(block),
        traffic: AclTraffic.allTraffic(),
        ruleAction: Action.DENY,
      });
    }
    const open = { ruleNumber: 100, cidr: AclCidr.anyIpv4(), ruleAction: Action.ALLOW };
    acl.addEntry("Out", {
      ...open,
      direction: TrafficDirection.EGRESS,
      traffic: AclTraffic.tcpPortRange(443, 8_443),
    });
    acl.addEntry("Back", {
      ...open,
      direction: TrafficDirection.INGRESS,
      traffic: AclTraffic.tcpPortRange(1_024, 65_535),
    });
  }
}
