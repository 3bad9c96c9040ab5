import { type ChildProcess, fork } from "node:child_process";
import type { Stages } from "./sessions.ts";

/** What a side's process is told on its command line. */
export interface SideSetup {
  /** The model's folder. */
  readonly model: string;
  readonly precision: "fp32" | "int8";
  /** Files. */
  readonly pictures: Readonly<Record<Work["picture"], string>>;
  /** Where the anchor's library is installed. */
  readonly library: string;
  /** Prefix of ONNX Runtime's profiles; null writes none. */
  readonly profile: string | null;
}

/**
 * What one side is asked for: answers to these prompts about a picture, each of exactly so many
 * tokens.
 */
export interface Work {
  /**
   * A photograph, or the same in the model's own size: then both sides see the same numbers, for
   * they resize differently.
   */
  readonly picture: "photo" | "exact";
  readonly prompts: readonly string[];
  readonly beams: number;
  readonly tokens: number;
}

/** How one side did some work, from the picture's bytes to the answers' text. */
export interface Sample {
  readonly ms: number;
  /**
   * The share of the machine that other programs used meanwhile; null where the system does not
   * tell.
   */
  readonly foreignShare: number | null;
  readonly stages: Stages;
  readonly texts: readonly string[];
  /** Peak of the process so far. */
  readonly rssMb: number;
}

/** One side of the comparison in a process of its own, at work only while it is asked. */
export interface Side {
  readonly loadMs: number;
  /** The first work, which warms it up. */
  readonly first: Sample;
  ask(work: Work): Promise<Sample>;
  close(): Promise<void>;
}

/** What a side's process says: that it has loaded its model, then a sample for each work. */
export type Reply = { readonly loadedMs: number } | { readonly sample: Sample };

/** Starts a side, a module of this folder, in a process of its own, which must be closed. */
export async function startSide(
  module: "ours" | "anchor",
  setup: SideSetup,
  warmUp: Work,
): Promise<Side> {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  const child = fork(new URL(`${module}.${extension}`, import.meta.url), [JSON.stringify(setup)]);
  const loaded = await reply(child, `${module} could not load its model`);
  if (!("loadedMs" in loaded)) throw new Error(`${module} sent a sample that nobody asked for.`);
  const ask = async (work: Work) => {
    child.send(work);
    const answer = await reply(child, `${module} failed at ${JSON.stringify(work)}`);
    if ("sample" in answer) return answer.sample;
    throw new Error(`${module} loaded its model twice.`);
  };
  return {
    loadMs: loaded.loadedMs,
    first: await ask(warmUp),
    ask,
    async close() {
      if (child.exitCode !== null) return;
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.disconnect();
      await ended;
    },
  };
}

function reply(child: ChildProcess, failure: string): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const exited = (code: number | null, signal: string | null) =>
      reject(new Error(`${failure}: its process ended with ${code ?? signal}.`));
    child.once("exit", exited);
    child.once("message", (message) => {
      child.off("exit", exited);
      resolve(message as Reply); // from our own module
    });
  });
}
