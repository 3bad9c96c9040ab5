import { Duration } from "aws-cdk-lib";

/** HTTP APIs give up after 30 seconds. */
export const gatewayTimeout = Duration.seconds(29);
/** Some rounds of attempts, each of up to 15 seconds. */
export const webhooksTimeout = Duration.seconds(60);
/** Less than until the next one. */
export const sweeperTimeout = Duration.seconds(50);
export const scalerTimeout = Duration.seconds(30);
