import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { copyFile, mkdir, readFile, rename, rm, statfs, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import sharp from "sharp";
import { packageRoot } from "../../adapters/package-root.ts";
import { writeCheckpoint } from "./checkpoint.ts";
import { quantize } from "./quantize.ts";
import { shapes } from "./shapes.ts";
import { widenedTokenizer } from "./tokenizer.ts";

/** What is built once and then found again. */
export interface Folders {
  readonly checkpoint: string;
  /** A model of the public layout, in fp32 and the imitation of q8. */
  readonly anchor: string;
  /** Where transformers.js is installed. */
  readonly library: string;
  /** A photograph in the model's own size. */
  readonly picture: string;
  /** Whose tokenizer it is, for the report. */
  readonly tokenizer: string;
}

const gigabyte = 2 ** 30;
const anchorGraphs = ["vision_encoder", "embed_tokens", "encoder_model", "decoder_model_merged"];

/**
 * Builds under `cache` what is missing there: a random checkpoint of the shape, the anchor's graphs
 * of the same weights, the anchor's library. `python` needs the packages that
 * models/training/README.md names. Throws an Error that says what to do.
 */
export async function prepareFolders(plan: {
  cache: string;
  shape: keyof typeof shapes;
  tokenizer: string | null;
  python: string;
  say: (text: string) => void;
}): Promise<Folders> {
  const { say } = plan;
  const cache = resolve(plan.cache);
  await mkdir(cache, { recursive: true });
  const home = join(
    cache,
    `${plan.shape}-${plan.tokenizer === null ? "widened" : "own"}-tokenizer`,
  );
  const folders = {
    checkpoint: join(home, "checkpoint"),
    anchor: join(home, "anchor"),
    library: join(cache, "library"),
    picture: join(home, "picture.png"),
  };
  if (plan.shape === "base" && !existsSync(folders.anchor)) await needSpace(cache, 4 * gigabyte);

  await once(folders.checkpoint, say, "drawing a random checkpoint", async (folder) => {
    const shape = shapes[plan.shape];
    const nano = join(packageRoot(), "models/florence-2-nano/tokenizer.json");
    const json = await readFile(plan.tokenizer ?? nano, "utf8");
    const tokenizer =
      plan.tokenizer === null ? widenedTokenizer(json, shape.text.vocabulary) : json;
    await writeCheckpoint(folder, { shape, seed: 20_260_131, tokenizer });
  });
  await once(
    folders.anchor,
    say,
    "exporting the anchor's graphs with PyTorch (minutes)",
    async (folder) => {
      exportGraphs(plan.python, folders.checkpoint, folder);
      await rm(join(folder, "model.safetensors"));
      for (const file of ["tokenizer_config.json", "generation_config.json"])
        await copyFile(join(folders.checkpoint, file), join(folder, file));
      for (const graph of anchorGraphs) {
        say(`imitating q8: ${graph}`);
        await writeFile(
          join(folder, "onnx", `${graph}_quantized.onnx`),
          quantize(await readFile(join(folder, "onnx", `${graph}.onnx`))),
        );
      }
    },
  );
  await once(
    folders.library,
    say,
    "installing @huggingface/transformers for the anchor, from the npm registry",
    installLibrary,
  );
  const { width, height } = shapes[plan.shape].vision.image;
  await sharp(join(packageRoot(), "models/samples/harbour.jpg"))
    .resize(width, height, { fit: "fill" })
    .png()
    .toFile(folders.picture);
  return {
    ...folders,
    tokenizer: plan.tokenizer === null ? "florence-2-nano's, widened" : "Florence-2's own",
  };
}

/** Makes a folder under another name and renames it when it is whole. */
async function once(
  folder: string,
  say: (text: string) => void,
  what: string,
  make: (folder: string) => Promise<void>,
): Promise<void> {
  if (existsSync(folder)) return;
  say(what);
  const unfinished = `${folder}.unfinished`;
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { recursive: true });
  await make(unfinished);
  await rename(unfinished, folder);
}

function exportGraphs(python: string, checkpoint: string, out: string): void {
  const about = ["--revision", "bench", "--description", "Random weights", "--tasks", "CAPTION"];
  const run = (script: string, options: readonly string[]) =>
    execFileSync(python, ["-W", "ignore", join(packageRoot(), script), ...options], {
      stdio: ["ignore", "ignore", "inherit"],
    });
  try {
    run("models/training/export.py", ["--model", checkpoint, "--out", out, ...about]);
    run("bench/anchor/vision.py", [
      "--model",
      checkpoint,
      "--out",
      join(out, "onnx", "vision_encoder.onnx"),
    ]);
  } catch (cause) {
    throw new Error(
      `The anchor's graphs could not be exported. They need PyTorch and onnx: install what models/training/README.md names, or name another ` +
        `interpreter with --python (now ${python}).`,
      { cause },
    );
  }
}

async function installLibrary(folder: string): Promise<void> {
  await copyFile(join(packageRoot(), "bench/anchor/package.json"), join(folder, "package.json"));
  try {
    // Without scripts: onnxruntime-node's would fetch CUDA libraries from elsewhere.
    execFileSync(
      "npm",
      ["install", "--ignore-scripts", "--no-package-lock", "--no-audit", "--no-fund"],
      {
        cwd: folder,
        stdio: ["ignore", "ignore", "inherit"],
      },
    );
  } catch (cause) {
    throw new Error(
      "The anchor's library could not be installed: the npm registry must be reachable once. See bench/anchor/package.json.",
      { cause },
    );
  }
}

async function needSpace(cache: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(cache);
  if (bavail * bsize >= bytes) return;
  throw new Error(
    `The models take about ${bytes / gigabyte} GB, and ${cache} has ${((bavail * bsize) / gigabyte).toFixed(1)} GB free: name another folder with --cache.`,
  );
}
