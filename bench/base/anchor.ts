import "../../inference/telemetry-off.ts"; // before the library that `openAnchor` loads
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { type Answerer, serve } from "./serve.ts";
import { type SessionClass, type Watch, watchSessions } from "./sessions.ts";
import type { SideSetup } from "./side.ts";

// The process of the anchor's side: @huggingface/transformers as its documentation tells how to use
// it for Florence-2.
await serve(openAnchor);

/**
 * Of the library what is used here; it is installed beside the bench's models, out of the type
 * checker's sight.
 */
interface Transformers {
  readonly env: { allowRemoteModels: boolean; localModelPath: string };
  readonly RawImage: { fromBlob(blob: Blob): Promise<object> };
  readonly AutoProcessor: { from_pretrained(model: string): Promise<Processor> };
  readonly Florence2ForConditionalGeneration: {
    from_pretrained(model: string, options: { dtype: string }): Promise<Model>;
  };
}
interface Processor {
  (images: object[], texts: readonly string[], options: { padding: boolean }): Promise<object>;
  batch_decode(sequences: object, options: { skip_special_tokens: boolean }): string[];
}
interface Model {
  generate(inputs: object): Promise<object>;
}

async function openAnchor(setup: SideSetup): Promise<{ answer: Answerer; watch: Watch }> {
  const require = createRequire(join(setup.library, "package.json"));
  const { InferenceSession } = require("onnxruntime-node") as { InferenceSession: SessionClass };
  const watch = watchSessions(InferenceSession, setup.profile);
  const library = require("@huggingface/transformers") as Transformers;
  library.env.allowRemoteModels = false;
  library.env.localModelPath = dirname(setup.model);
  const name = basename(setup.model);
  const model = await library.Florence2ForConditionalGeneration.from_pretrained(name, {
    dtype: setup.precision === "fp32" ? "fp32" : "q8",
  });
  const processor = await library.AutoProcessor.from_pretrained(name);
  const pictures = {
    photo: readFileSync(setup.pictures.photo),
    exact: readFileSync(setup.pictures.exact),
  };
  const answer: Answerer = async ({ picture, prompts, beams, tokens }) => {
    const image = await library.RawImage.fromBlob(new Blob([pictures[picture]]));
    const images = prompts.map(() => image);
    const inputs = await processor(images, prompts, { padding: prompts.length > 1 });
    const length = { max_new_tokens: tokens, min_new_tokens: tokens - 1, num_beams: beams };
    const sequences = await model.generate({ ...inputs, ...length });
    const texts = processor.batch_decode(sequences, { skip_special_tokens: false });
    return texts.map((text) => text.replaceAll(/<s>|<\/s>|<pad>/g, ""));
  };
  return { answer, watch };
}
