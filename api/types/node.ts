export const Node = {
  __resolveType: ({ id }: { id: string }): string => (id.startsWith("run_") ? "Run" : "Image"),
};
