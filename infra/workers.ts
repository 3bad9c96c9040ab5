import { Duration, RemovalPolicy, Size } from "aws-cdk-lib";
import { AutoScalingGroup } from "aws-cdk-lib/aws-autoscaling";
import {
  AcceleratorManufacturer,
  AcceleratorType,
  BlockDeviceVolume,
  EbsDeviceVolumeType,
  InstanceType,
  LaunchTemplate,
  UserData,
} from "aws-cdk-lib/aws-ec2";
import { Platform } from "aws-cdk-lib/aws-ecr-assets";
import {
  AmiHardwareType,
  AsgCapacityProvider,
  type BaseService,
  CfnCapacityProvider,
  Cluster,
  Compatibility,
  ContainerImage,
  ContainerInsights,
  CpuArchitecture,
  Ec2Service,
  EcsOptimizedImage,
  FargateService,
  LogDrivers,
  ManagedInstancesCapacityProvider,
  NetworkMode,
  OperatingSystemFamily,
  TaskDefinition,
} from "aws-cdk-lib/aws-ecs";
import { ManagedPolicy, PolicyStatement, Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import { LogGroup, RetentionDays } from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";
import { root } from "./bundle.ts";
import type { CloudConfig } from "./config.ts";
import type { DataStack } from "./data-stack.ts";
import { grant, settingsOf } from "./grants.ts";
import type { Network } from "./network.ts";

interface WorkersProps {
  readonly config: CloudConfig;
  readonly data: DataStack;
  readonly network: Network;
}

/** Of one worker. A GPU's task takes the smallest of the instance types whole. */
const sizes = {
  gpu: { cpu: 3_072, memoryMb: 12_288 },
  cpu: { cpu: 4_096, memoryMb: 8_192 },
} as const;
/** ECS waits no longer for the runs in progress after it has asked a worker to stop. */
const stopTimeout = Duration.seconds(120);

const isWell =
  "fetch('http://127.0.0.1:9464/metrics').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))";

/**
 * The workers on ECS, none of them while there is nothing to do: how many there are is the scaler's
 * business.
 */
export class Workers extends Construct {
  readonly cluster: Cluster;
  readonly service: BaseService;

  constructor(scope: Construct, id: string, props: WorkersProps) {
    super(scope, id);
    const { vpc } = props.network;
    this.cluster = new Cluster(this, "Cluster", {
      vpc,
      containerInsightsV2: ContainerInsights.ENABLED,
    });
    const { capacity } = props.config.workers;
    this.service =
      capacity === "managed"
        ? this.onManaged(props)
        : capacity === "asg"
          ? this.onGroup(props)
          : this.onFargate(props);
    const { taskRole } = this.service.taskDefinition;
    grant(props.data, taskRole, [
      "table",
      "readImages",
      "models",
      "workRuns",
      "seeRuns",
      "wake",
      "secret",
    ]);
    taskRole.addToPrincipalPolicy(
      new PolicyStatement({
        actions: ["ecs:GetTaskProtection", "ecs:UpdateTaskProtection"],
        resources: [this.cluster.arnForTasks("*")],
      }),
    );
  }

  /** GPUs that ECS starts, patches and ends by itself, one for each worker. */
  private onManaged(props: WorkersProps): FargateService {
    const { config, network } = props;
    const infrastructureRole = new Role(this, "InfrastructureRole", {
      assumedBy: new ServicePrincipal("ecs.amazonaws.com"),
      managedPolicies: [
        ManagedPolicy.fromAwsManagedPolicyName(
          "AmazonECSInfrastructureRolePolicyForManagedInstances",
        ),
      ],
    });
    const provider = new ManagedInstancesCapacityProvider(this, "Gpus", {
      infrastructureRole,
      subnets: network.vpc.selectSubnets(network.workers).subnets.slice(0, 1), // one zone: instances are filled, not spread
      securityGroups: [network.workersGroup],
      taskVolumeStorage: Size.gibibytes(100),
      instanceRequirements: {
        vCpuCountMin: 4,
        memoryMin: Size.gibibytes(15),
        allowedInstanceTypes: [...config.workers.instanceTypes],
        acceleratorTypes: [AcceleratorType.GPU],
        acceleratorManufacturers: [AcceleratorManufacturer.NVIDIA],
        acceleratorCountMin: 1,
      },
    });
    this.cluster.addManagedInstancesCapacityProvider(provider);
    const resource = provider.node.findAll().find((each) => each instanceof CfnCapacityProvider);
    // The construct has no property for it: how long an empty instance waits for a task.
    resource?.addPropertyOverride(
      "ManagedInstancesProvider.InfrastructureOptimization.ScaleInAfter",
      300,
    );
    const taskDefinition = this.makeTask(props, {
      compatibility: Compatibility.MANAGED_INSTANCES,
      networkMode: NetworkMode.AWS_VPC,
      hasGpu: true,
    });
    const service = new FargateService(this, "Service", {
      ...this.serviceProps(props),
      taskDefinition,
      capacityProviderStrategies: [{ capacityProvider: provider.capacityProviderName, weight: 1 }],
    });
    service.node.addDependency(provider);
    return service;
  }

  /**
   * GPUs of an auto scaling group that starts at zero: for images of one's own, or where ECS
   * manages none.
   */
  private onGroup(props: WorkersProps): Ec2Service {
    const { config, network } = props;
    const [first = "g6.xlarge"] = config.workers.instanceTypes;
    const role = new Role(this, "InstanceRole", {
      assumedBy: new ServicePrincipal("ec2.amazonaws.com"),
      managedPolicies: [
        ManagedPolicy.fromAwsManagedPolicyName("service-role/AmazonEC2ContainerServiceforEC2Role"),
      ],
    });
    const launchTemplate = new LaunchTemplate(this, "Template", {
      machineImage: EcsOptimizedImage.amazonLinux2023(AmiHardwareType.GPU),
      userData: UserData.forLinux(),
      instanceType: new InstanceType(first),
      role,
      securityGroup: network.workersGroup,
      requireImdsv2: true,
      httpPutResponseHopLimit: 1, // tasks do not reach the instance's own role
      blockDevices: [
        {
          deviceName: "/dev/xvda",
          volume: BlockDeviceVolume.ebs(100, {
            volumeType: EbsDeviceVolumeType.GP3,
            encrypted: true,
          }),
        },
      ],
    });
    const autoScalingGroup = new AutoScalingGroup(this, "Group", {
      vpc: network.vpc,
      vpcSubnets: network.workers,
      minCapacity: 0,
      maxCapacity: config.workers.max,
      newInstancesProtectedFromScaleIn: true,
      mixedInstancesPolicy: {
        launchTemplate,
        launchTemplateOverrides: config.workers.instanceTypes.map((type) => ({
          instanceType: new InstanceType(type),
        })),
      },
    });
    const provider = new AsgCapacityProvider(this, "Gpus", {
      autoScalingGroup,
      instanceWarmupPeriod: 120,
    });
    this.cluster.addAsgCapacityProvider(provider);
    const service = new Ec2Service(this, "Service", {
      ...this.serviceProps(props),
      taskDefinition: this.makeTask(props, {
        compatibility: Compatibility.EC2,
        networkMode: NetworkMode.AWS_VPC,
        hasGpu: true,
      }),
      capacityProviderStrategies: [{ capacityProvider: provider.capacityProviderName, weight: 1 }],
    });
    service.node.addDependency(provider);
    return service;
  }

  /** CPUs: slower, and nowhere short of supply. */
  private onFargate(props: WorkersProps): FargateService {
    return new FargateService(this, "Service", {
      ...this.serviceProps(props),
      taskDefinition: this.makeTask(props, {
        compatibility: Compatibility.FARGATE,
        networkMode: NetworkMode.AWS_VPC,
        hasGpu: false,
      }),
    });
  }

  private serviceProps({ network, config }: WorkersProps) {
    return {
      cluster: this.cluster,
      vpcSubnets: network.workers,
      securityGroups: [network.workersGroup],
      desiredCount: config.workers.min,
      minHealthyPercent: 0, // a deployment at zero workers starts none
      maxHealthyPercent: 200,
      circuitBreaker: { rollback: true },
      enableExecuteCommand: false,
    };
  }

  private makeTask(
    { config, data }: WorkersProps,
    {
      compatibility,
      networkMode,
      hasGpu,
    }: { compatibility: Compatibility; networkMode: NetworkMode; hasGpu: boolean },
  ): TaskDefinition {
    const size = hasGpu ? sizes.gpu : sizes.cpu;
    const task = new TaskDefinition(this, "Task", {
      compatibility,
      networkMode,
      cpu: String(size.cpu),
      memoryMiB: String(size.memoryMb),
      // The instances of a group say themselves what they are.
      ...(compatibility !== Compatibility.EC2 && {
        runtimePlatform: {
          cpuArchitecture: CpuArchitecture.X86_64,
          operatingSystemFamily: OperatingSystemFamily.LINUX,
        },
      }),
      volumes: [{ name: "data" }, { name: "tmp" }],
    });
    const logGroup = new LogGroup(this, "Log", {
      retention: RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const container = task.addContainer("worker", {
      image: ContainerImage.fromAsset(root, {
        file: hasGpu ? "inference/Dockerfile" : "inference/Dockerfile.cpu",
        platform: Platform.LINUX_AMD64,
        exclude: ["cdk.out", ".git", "node_modules", "dist", ".vedere"],
      }),
      essential: true,
      readonlyRootFilesystem: true,
      stopTimeout,
      memoryLimitMiB: size.memoryMb,
      ...(hasGpu && { gpuCount: 1 }),
      // ECS does not read the image's own.
      healthCheck: {
        command: ["CMD", "node", "-e", isWell],
        interval: Duration.seconds(30),
        timeout: Duration.seconds(20),
        retries: 5,
        startPeriod: Duration.seconds(300), // models are fetched and loaded first
      },
      logging: LogDrivers.awsLogs({ logGroup, streamPrefix: "worker" }),
      environment: {
        ...settingsOf(data),
        AWS_REGION: data.region, // ECS says it on Fargate only
        VEDERE_DATA: "/data",
        VEDERE_EXECUTION_PROVIDERS: hasGpu ? "cuda,cpu" : "cpu",
        VEDERE_RETENTION_DAYS: String(config.retentionDays),
        ...(config.model !== null && { VEDERE_MODEL: config.model }),
        ...(config.precision !== null && { VEDERE_PRECISION: config.precision }),
      },
    });
    container.addMountPoints(
      { containerPath: "/data", sourceVolume: "data", readOnly: false },
      { containerPath: "/tmp", sourceVolume: "tmp", readOnly: false },
    );
    return task;
  }
}
