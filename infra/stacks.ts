import { type App, Tags, Validations } from "aws-cdk-lib";
import { AwsSolutionsChecks } from "cdk-nag";
import { acknowledgeFindings } from "./acknowledgements.ts";
import { readCloudConfig } from "./config.ts";
import { DataStack } from "./data-stack.ts";
import { ServiceStack } from "./service-stack.ts";

/**
 * Both stacks, for any region and account, checked by AWS's own rules. Throws AppError
 * SETTING_INVALID for a wrong context.
 */
export function buildStacks(app: App): { data: DataStack; service: ServiceStack } {
  const config = readCloudConfig(app.node.tryGetContext("vedere"));
  const data = new DataStack(app, `${config.name}-data`, {
    config,
    terminationProtection: true,
    description: "Vedere: what must not be lost",
  });
  const service = new ServiceStack(app, `${config.name}-service`, {
    config,
    data,
    description: "Vedere: the API and its workers",
  });
  Tags.of(app).add("application", config.name);
  acknowledgeFindings({ data, service });
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  return { data, service };
}
