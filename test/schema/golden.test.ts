import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type Answers, parseAnswer, type Size, type TaskToken } from "../../schema/florence2.ts";

interface Golden {
  readonly name: string;
  readonly task: TaskToken;
  readonly size: Size;
  readonly raw: string;
  readonly answer: Answers[TaskToken];
}

/**
 * Answers and what they mean, written down by hand; the one of the parked car was recorded from the
 * reference.
 */
const folder = new URL("../golden/", import.meta.url);

for (const file of readdirSync(folder).filter((name) => name.endsWith(".json"))) {
  const goldens: Golden[] = JSON.parse(readFileSync(new URL(file, folder), "utf8"));
  describe(file, () => {
    test.each(goldens)("$task: $name", ({ task, size, raw, answer }) => {
      expect(parseAnswer(task, raw, size)).toEqual(answer);
    });
  });
}
