import type { TaskResult as StoredResult } from "../../schema/result.ts";

export const TaskResult = {
  __resolveType: ({ type }: StoredResult): string => type,
};
