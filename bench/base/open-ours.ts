import { readFileSync } from "node:fs";
import type { ModelInfo } from "../../core/ports.ts";
import { openEngine } from "../../inference/florence2/engine.ts";
import { InferenceSession } from "../../inference/onnx-runtime.ts";
import type { Answerer } from "./serve.ts";
import { type Watch, watchSessions } from "./sessions.ts";
import type { SideSetup } from "./side.ts";

/**
 * Vedere's engine on a model folder: the picture is seen once for all prompts of a work, and they
 * are answered as one call. No prompt says that its answer has locations in groups: the shorter
 * head for forced locations is not measured here, random answers would use it too often.
 */
export async function openOurs(
  setup: SideSetup,
): Promise<{ answer: Answerer; watch: Watch; close: () => Promise<void> }> {
  const watch = watchSessions(InferenceSession, setup.profile);
  const model: ModelInfo = {
    id: "bench",
    description: "",
    revision: "1",
    precision: setup.precision,
    tasks: ["PROMPT"],
    isDefault: true,
    aliases: [],
    fault: null,
    folder: setup.model,
    stamp: "1",
    defaults: {},
  };
  const engine = openEngine({ models: { list: async () => [model] } });
  await engine.hold(model.id); // until the process ends
  const pictures = {
    photo: readFileSync(setup.pictures.photo),
    exact: readFileSync(setup.pictures.exact),
  };
  const answer: Answerer = async ({ picture, prompts, beams, tokens }) => {
    const [sight] = await engine.see(model.id, [pictures[picture]]);
    if (!sight || sight instanceof Error) throw sight ?? new Error("The picture was not seen.");
    const options = { beams, maxTokens: tokens };
    const asked = prompts.map((prompt) => ({ sight, prompt, locationGroup: null, options }));
    const answers = await engine.answer(model.id, asked);
    return answers.map(({ text }) => text);
  };
  return { answer, watch, close: () => engine.close() };
}
