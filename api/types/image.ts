import type { StoredImage } from "../../core/run.ts";

export const Image = {
  warnings: ({ warnings }: StoredImage) => warnings ?? [],
};
