import { mutations } from "./mutations.ts";
import type { Operation } from "./operation.ts";
import { others } from "./others.ts";
import { queries } from "./queries.ts";

/**
 * Every root field of the schema, some in several ways, and what else the service does with its
 * store.
 */
export const operations: readonly Operation[] = [...queries, ...mutations, ...others];
