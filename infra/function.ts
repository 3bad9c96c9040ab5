import { AssetHashType, DockerImage, type Duration, RemovalPolicy } from "aws-cdk-lib";
import type { ISecurityGroup, IVpc, SubnetSelection } from "aws-cdk-lib/aws-ec2";
import { ManagedPolicy, PolicyStatement, Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import {
  Architecture,
  Code,
  type FunctionProps,
  Function as LambdaFunction,
  Runtime,
  Tracing,
} from "aws-cdk-lib/aws-lambda";
import { LogGroup, RetentionDays } from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";
import { bundleFunction, type FunctionName, root } from "./bundle.ts";

export interface CloudFunctionProps {
  readonly name: FunctionName;
  readonly description: string;
  readonly timeout: Duration;
  readonly memoryMb: number;
  readonly environment: Readonly<Record<string, string>>;
  /** Null: with the way out that Lambda has, and none to anything of ours. */
  readonly network: {
    readonly vpc: IVpc;
    readonly subnets: SubnetSelection;
    readonly securityGroup: ISecurityGroup;
  } | null;
}

/** One of our functions: Node.js on ARM, bundled here, with a log group and a role of its own. */
export class CloudFunction extends Construct {
  readonly lambda: LambdaFunction;

  constructor(scope: Construct, id: string, props: CloudFunctionProps) {
    super(scope, id);
    const { name, description, timeout, memoryMb, environment, network } = props;
    const logGroup = new LogGroup(this, "Log", {
      retention: RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const role = new Role(this, "Role", {
      assumedBy: new ServicePrincipal("lambda.amazonaws.com"),
    });
    logGroup.grantWrite(role);
    if (network)
      role.addManagedPolicy(
        ManagedPolicy.fromAwsManagedPolicyName("service-role/AWSLambdaVPCAccessExecutionRole"),
      );
    const inNetwork: Partial<FunctionProps> = network
      ? { vpc: network.vpc, vpcSubnets: network.subnets, securityGroups: [network.securityGroup] }
      : {};
    this.lambda = new LambdaFunction(this, "Function", {
      description,
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.ARM_64,
      handler: "index.handler",
      code: codeOf(name, this.node.tryGetContext("vedere:withoutSharp") === true),
      timeout,
      memorySize: memoryMb,
      environment: { NODE_OPTIONS: "--enable-source-maps", ...environment },
      logGroup,
      role,
      tracing: Tracing.DISABLED,
      ...inNetwork,
    });
  }

  allow(actions: readonly string[], resources: readonly string[]): void {
    this.lambda.addToRolePolicy(
      new PolicyStatement({ actions: [...actions], resources: [...resources] }),
    );
  }
}

/** Bundled by the esbuild of this machine, never in Docker. */
function codeOf(name: FunctionName, hasSharp: boolean): Code {
  return Code.fromAsset(root, {
    assetHashType: AssetHashType.OUTPUT,
    bundling: {
      image: DockerImage.fromRegistry("none"),
      command: [name], // tells the functions apart: what is bundled from one folder by the same command is taken for the same
      local: {
        tryBundle(folder) {
          bundleFunction(name, folder, { hasSharp });
          return true;
        },
      },
    },
  });
}
