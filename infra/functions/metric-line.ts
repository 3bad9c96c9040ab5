/** The namespace of the fleet's metrics in CloudWatch. */
export const metricNamespace = "Vedere";

/**
 * One line of a log that CloudWatch turns into metrics (its embedded metric format), without a
 * call. `at` in milliseconds since 1970.
 */
export function metricLine(values: Readonly<Record<string, number>>, at: number): string {
  const Metrics = Object.keys(values).map((Name) => ({ Name, Unit: "Count" }));
  const _aws = {
    Timestamp: at,
    CloudWatchMetrics: [{ Namespace: metricNamespace, Dimensions: [[]], Metrics }],
  };
  return `${JSON.stringify({ _aws, ...values })}\n`;
}
