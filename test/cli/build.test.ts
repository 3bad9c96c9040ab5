import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  watch,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { exitOf, startVedere, vedere } from "./vedere.ts";

const root = join(import.meta.dirname, "../..");
const nano = join(root, "models/florence-2-nano");
const heldOut = join(root, "models/evaluation/images");
let place: string;

beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), "vedere-build-"));
});
afterEach(() => rmSync(place, { recursive: true }));

/** The embedded model as a checkpoint: without graphs. */
function checkpoint(): string {
  const folder = join(place, "checkpoint");
  mkdirSync(folder);
  for (const file of [
    "config.json",
    "tokenizer.json",
    "preprocessor_config.json",
    "generation_config.json",
    "model.safetensors",
  ])
    cpSync(join(nano, file), join(folder, file));
  return folder;
}

function editJson(file: string, change: (json: Record<string, unknown>) => object): void {
  writeFileSync(file, JSON.stringify(change(JSON.parse(readFileSync(file, "utf8")))));
}

/** A folder of two held-out pictures, whose answers are short. */
function pictures(): string {
  const folder = join(place, "checkpoint", "pictures");
  mkdirSync(folder);
  for (const file of ["07.jpg", "08.jpg"]) cpSync(join(heldOut, file), join(folder, file));
  return folder;
}

const left = () => readdirSync(place).filter((name) => name !== "checkpoint");

test("a checkpoint becomes a model that is listed, verified, and found out when a file changes", async () => {
  const data = join(place, "data");
  mkdirSync(data);
  const about = ["--id", "tuned", "--licence", "Apache-2.0", "--tasks", "caption,read-text"];
  const built = await vedere(["models", "build", checkpoint(), "--data", data, ...about]);
  expect(built).toMatchObject({
    code: 0,
    stderr: "",
    stdout: expect.stringMatching(/^tuned is ready: .*tuned\n100 % of the tokens/),
  });

  const folder = join(data, "models/tuned");
  const manifest = JSON.parse(readFileSync(join(folder, "vedere.json"), "utf8"));
  expect(manifest).toMatchObject({
    ...{
      id: "tuned",
      base: "checkpoint",
      precision: "fp32",
      layout: "step",
      licence: "Apache-2.0",
      ready: true,
    },
    ...{ revision: expect.stringMatching(/^[0-9a-f]{12}$/), tasks: ["CAPTION", "READ_TEXT"] },
    parity: { tokenAgreement: 1, agreementMin: 0.999, reference: "itself, without batches" },
  });
  const files: string[] = manifest.files.map((file: { path: string }) => file.path);
  const present = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter(
    (path) => !["onnx", "vedere.json"].includes(path),
  );
  expect(files).toEqual(present.sort());
  expect(files.filter((file) => file.startsWith("onnx/"))).toEqual(
    ["decoder_step", "embed_tokens", "encoder_model", "vision_encoder"].map(
      (name) => `onnx/${name}.onnx`,
    ),
  );

  const listed = JSON.parse((await vedere(["models", "list", "--json", "--data", data])).stdout);
  expect(listed[0]).toMatchObject({ id: "tuned", isDefault: true, fault: null });
  const verified = await vedere(["models", "verify", "tuned", "--data", data]);
  expect(verified).toMatchObject({ code: 0, stdout: expect.stringMatching(/^OK .*checksums/) });
  const analyzed = await vedere([
    "analyze",
    join(root, "models/samples/park.jpg"),
    "--task",
    "caption",
    "--data",
    data,
  ]);
  expect(analyzed).toMatchObject({ code: 0, stdout: expect.stringContaining("tuned") });

  writeFileSync(
    join(folder, "onnx/encoder_model.onnx"),
    readFileSync(join(folder, "onnx/embed_tokens.onnx")),
  );
  const changed = await vedere(["models", "verify", "tuned", "--data", data]);
  expect(changed).toMatchObject({
    code: 1,
    stdout: expect.stringContaining("onnx/encoder_model.onnx has changed"),
  });
  expect(changed.stdout).toMatch(
    /onnx\/encoder_model\.onnx lacks input inputs_embeds.*present\.0\.encoder\.key/,
  );
});

test("a target that is there is replaced only when forced to", async () => {
  const out = join(place, "model");
  const source = checkpoint();
  mkdirSync(out);
  writeFileSync(join(out, "mine.txt"), "");
  const refused = await vedere(["models", "build", source, "--out", out]);
  expect(refused).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/is there already\.\nfix: .*--force/),
  });
  expect(readdirSync(out)).toEqual(["mine.txt"]);
  expect(await vedere(["models", "build", source, "--out", out, "--force"])).toMatchObject({
    code: 0,
  });
  expect(readdirSync(out)).not.toContain("mine.txt");
  expect(left()).toEqual(["model"]);
});

test("a precision that changes the answers is refused, or kept unserved on request", async () => {
  const data = join(place, "data");
  mkdirSync(data);
  const source = checkpoint();
  const args = [
    "models",
    "build",
    source,
    "--precision",
    "q4",
    "--data",
    data,
    "--id",
    "coarse",
    "--agreement-min",
    "0.9999",
    "--images",
    pictures(),
  ];
  const refused = await vedere(args);
  expect(refused).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(
      /^error: .* not ready: \d+(\.\d)? % of the tokens agree with the same weights in fp32/,
    ),
  });
  expect(readdirSync(join(data, "models"))).toEqual([]);

  expect(await vedere([...args, "--keep-unready"])).toMatchObject({
    code: 1,
    stdout: expect.stringContaining("not ready and not served"),
  });
  const folder = join(data, "models/coarse");
  expect(readdirSync(folder).sort()).toEqual(
    [
      "config.json",
      "generation_config.json",
      "onnx",
      "preprocessor_config.json",
      "tokenizer.json",
      "vedere.json",
    ].sort(),
  );
  const listed: { id: string; isDefault: boolean; fault: string | null }[] = JSON.parse(
    (await vedere(["models", "list", "--json", "--data", data])).stdout,
  );
  expect(listed.find(({ id }) => id === "coarse")).toMatchObject({
    isDefault: false,
    fault: expect.stringContaining("parity"),
  });

  const compared = await vedere([
    "models",
    "compare",
    nano,
    folder,
    "--tasks",
    "propose-regions",
    "--images",
    join(source, "pictures"),
    "--json",
    "--agreement-min",
    "1",
  ]);
  const { agreement } = JSON.parse(compared.stdout);
  expect(agreement.featureError).toBeGreaterThan(0);
  expect(agreement.tokenAgreement).toBeLessThan(1);
  expect(compared.code).toBe(1);
});

test("what is wrong with a checkpoint is told before anything is written", async () => {
  const source = checkpoint();
  editJson(join(source, "config.json"), (json) => ({
    ...json,
    text_config: { ...Object(json.text_config), decoder_ffn_dim: 256 },
  }));
  const misfit = await vedere(["models", "build", source, "--out", join(place, "model")]);
  expect(misfit).toMatchObject({ code: 1, stdout: "" });
  expect(misfit.stderr).toContain(
    "model.language_model.decoder.layers.0.fc1.weight is 512×128, config.json makes it 256×128",
  );
  expect(misfit.stderr).toContain("model.language_model.decoder.layers.1.fc2.weight");

  writeFileSync(
    join(source, "adapter_config.json"),
    JSON.stringify({ base_model_name_or_path: "owner/base" }),
  );
  const baseless = await vedere(["models", "build", source, "--out", join(place, "model")]);
  expect(baseless).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/needs its base, owner\/base\.\nfix: .*--base/),
  });
  expect(left()).toEqual([]);
});

test("wrong special ids of a fine-tune are put right, with a warning", async () => {
  const source = checkpoint();
  editJson(join(source, "generation_config.json"), (json) => ({
    ...json,
    eos_token_id: 1,
    pad_token_id: 0,
    num_beams: 2,
  }));
  const { code, stderr } = await vedere(["models", "build", source, "--out", join(place, "model")]);
  expect({ code, warnings: stderr.match(/^warning: .*/gm)?.length }).toEqual({
    code: 0,
    warnings: 2,
  });
  expect(stderr).toContain("eos_token_id 1; the tokenizer says 2");
  const generation = JSON.parse(readFileSync(join(place, "model/generation_config.json"), "utf8"));
  expect(generation).toMatchObject({ eos_token_id: 2, pad_token_id: 1, num_beams: 2 });
});

test("an interrupted build leaves nothing, and what a killed one leaves is in nobody's way", async () => {
  const source = checkpoint();
  const args = [
    "models",
    "build",
    source,
    "--out",
    join(place, "model"),
    "--precision",
    "fp16",
    "--images",
    heldOut,
  ];
  const draft = join(place, ".model.draft");
  const startAndSignal = async (signal: NodeJS.Signals) => {
    const watcher = watch(place);
    const begun = new Promise<void>((resolve) =>
      watcher.on("change", () => existsSync(draft) && resolve()),
    );
    const child = startVedere(args);
    await begun;
    watcher.close();
    child.kill(signal);
    return exitOf(child);
  };
  expect(await startAndSignal("SIGINT")).toBe(130);
  expect(left()).toEqual([]);
  expect(await startAndSignal("SIGKILL")).toBeNull();
  expect(left()).toEqual([".model.draft"]);
  expect(await vedere(["models", "build", source, "--out", join(place, "model")])).toMatchObject({
    code: 0,
  });
  expect(left()).toEqual(["model"]);
});

test("a model compared with itself agrees throughout, beside figures for each task", async () => {
  mkdirSync(join(place, "checkpoint"));
  const args = [
    "models",
    "compare",
    "florence-2-nano",
    `${nano}/`,
    "--images",
    pictures(),
    "--beams",
    "2",
    "--agreement-min",
    "1",
  ];
  const { code, stdout } = await vedere(args);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^ {2}all +12 +1\.0000 +1\.0000 +1\.0000$/m);
  expect(stdout).toMatch(/^image features differ by 0\.0e\+0$/m);
  expect(stdout).toMatch(/^ {2}an image +[\d.]+ ms +[\d.]+ ms +\d\.\d\d$/m);

  const json = await vedere([...args, "--tasks", "read-text", "--json"]);
  expect(JSON.parse(json.stdout)).toMatchObject({
    first: { id: "florence-2-nano" },
    agreement: {
      images: 2,
      questions: 2,
      tokenAgreement: 1,
      exactAnswers: 1,
      equalCaptions: null,
      featureError: 0,
    },
    tasks: [{ task: "READ_TEXT" }],
    times: { see: { ratio: expect.any(Number) } },
  });
});

test.each([
  [
    ["compare", "florence-2-nano", "florence-2-nano", "--tasks", "segment"],
    /cannot be compared by segment/,
  ],
  [["compare", "florence-2-nano", "florence-2-nano", "--images", import.meta.dirname], /no images/],
  [["compare", "florence-2-nano", "nothing"], /There is no model nothing/],
  [["build", nano, "--precision", "q8", "--out", "unused"], /not built in q8/],
  [["build", nano, "--agreement-min", "2", "--out", "unused"], /from 0 to 1/],
])("wrong usage is told: models %j", async (args, message) => {
  const { code, stderr } = await vedere(["models", ...args, "--data", place]);
  expect(stderr).toMatch(message);
  expect(code).toBeGreaterThan(0);
});
