import type { Engine } from "../../core/ports.ts";

export interface NotedCall {
  readonly verb: "see" | "answer";
  readonly items: number;
  readonly prompts: readonly string[];
}

/**
 * An engine that does what another does, and notes what it was called with; `gate` may hold answers
 * up.
 */
export function notingEngine(
  engine: Engine,
  gate?: (prompts: readonly string[]) => Promise<void>,
): Engine & { readonly calls: NotedCall[] } {
  const calls: NotedCall[] = [];
  return {
    ...engine,
    calls,
    see(model, images, signal) {
      if (images.length > 0) calls.push({ verb: "see", items: images.length, prompts: [] });
      return engine.see(model, images, signal);
    },
    async answer(model, prompts, signal, turn) {
      const texts = prompts.map(({ prompt }) => prompt);
      calls.push({ verb: "answer", items: prompts.length, prompts: texts });
      await gate?.(texts);
      return engine.answer(model, prompts, signal, turn);
    },
  };
}
