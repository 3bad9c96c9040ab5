import "./quiet-sdk.ts";
import { GetSecretValueCommand, SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import { AppError } from "../../core/errors.ts";

const lengthMin = 32;

/**
 * The text of a secret in AWS Secrets Manager. Throws AppError SETTING_INVALID where it cannot be
 * read or is too short.
 */
export async function readSecret(arn: string): Promise<string> {
  const client = new SecretsManagerClient({});
  try {
    const { SecretString: secret = "" } = await client.send(
      new GetSecretValueCommand({ SecretId: arn }),
    );
    if (secret.length >= lengthMin) return secret;
    throw new Error(`it has ${secret.length} characters; at least ${lengthMin} are needed`);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new AppError(
      "SETTING_INVALID",
      `VEDERE_SECRET_ARN: the secret ${arn} cannot be used: ${reason}.`,
      {
        fix: "Name a secret of at least 32 characters that this process's role may read (secretsmanager:GetSecretValue).",
        cause,
      },
    );
  } finally {
    client.destroy();
  }
}
