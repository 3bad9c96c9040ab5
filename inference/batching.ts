import { setImmediate } from "node:timers/promises";
import type { Engine, EngineAnswer, Sight, SightPrompt } from "../core/ports.ts";
import { answerClass } from "./answer-class.ts";
import { type Lane, openLanes } from "./lanes.ts";
import type { Timers } from "./meter.ts";

/** An engine whose callers share batches: one tenant's part of it. */
export interface SharedEngine extends Engine {
  /**
   * Says that a run of the tenant has begun, for whose calls others may wait a moment; the returned
   * function says that it has ended.
   */
  enter(): () => void;
}

/** Rows (beams of all prompts) at work at a time, as many as one run of the decoder takes. */
const rowsMax = 24;
const imagesMax = 8;
/**
 * Beams of a prompt that leaves them to a model which has not answered yet: those of the reference.
 */
const beamsUsual = 3;

const systemTimers: Timers = {
  now: () => performance.now(),
  after(ms, wake) {
    const timer = setTimeout(wake, ms);
    return () => clearTimeout(timer);
  },
  turn: () => setImmediate(),
};

/**
 * An engine that merges the calls of several runs into batches of another one: calls for one model,
 * with the same beams and answers of one class. What a batch costs decides how many share it; one
 * that several share is to take less than `batchMsMax`. A call fails, and is canceled, as if it had
 * the engine for itself. Returns each tenant's part.
 */
export function batchingEngine(
  engine: Engine,
  setup: { batchMsMax: number; timers?: Timers; onBatch?: ((rows: number) => void) | undefined },
): (tenant: string) => SharedEngine {
  const lanes = openLanes({
    timers: setup.timers ?? systemTimers,
    rowsMax,
    batchMsMax: setup.batchMsMax,
  });
  const seeing = new Map<string, Lane<Uint8Array, Sight | Error>>();
  const answering = new Map<string, Lane<SightPrompt, EngineAnswer>>();
  const beamsOf = new Map<string, number>(); // what a model's answers had where the prompt left it open

  function seeingLane(model: string): Lane<Uint8Array, Sight | Error> {
    return found(seeing, model, () =>
      lanes.open({
        itemsMax: imagesMax,
        rows: () => 1,
        run: (images, signal) => engine.see(model, images, signal),
      }),
    );
  }

  /** Answers of one class: who wants a few words does not wait for a page. */
  function answeringLane({ model, beams, members }: Part): Lane<SightPrompt, EngineAnswer> {
    const kind = answerClass(members.map(({ prompt }) => prompt));
    return found(answering, JSON.stringify([model, beams, kind]), () =>
      lanes.open({
        itemsMax: rowsMax,
        rows: () => beams ?? beamsOf.get(model) ?? beamsUsual,
        async run(prompts, signal, turn) {
          const answers = await engine.answer(model, prompts, signal, turn);
          if (beams === null && answers[0]) beamsOf.set(model, answers[0].beams);
          setup.onBatch?.(answers.reduce((rows, answer) => rows + answer.beams, 0));
          return answers;
        },
      }),
    );
  }

  async function askPart(
    part: Part,
    asker: Asker,
  ): Promise<(readonly [index: number, answer: EngineAnswer])[]> {
    const answers = await answeringLane(part).ask(
      part.members.map(({ prompt }) => prompt),
      asker,
    );
    return part.members.flatMap(({ index }, i) =>
      answers[i] ? [[index, answers[i]] as const] : [],
    );
  }

  return (tenant) => ({
    enter: () => lanes.enter(tenant),
    hold: engine.hold,
    async see(model, images, signal) {
      return images.length === 0
        ? engine.see(model, images, signal)
        : [...(await seeingLane(model).ask(images, { tenant, signal }))];
    },
    async answer(_model, prompts, signal) {
      const answered = await Promise.all(
        partsOf(prompts).map((part) => askPart(part, { tenant, signal })),
      );
      const answers = new Map(answered.flat());
      return prompts.flatMap((_, index) => answers.get(index) ?? []);
    },
    hosted: engine.hosted,
    tidy: engine.tidy,
    close: engine.close,
  });
}

interface Asker {
  readonly tenant: string;
  readonly signal: AbortSignal | undefined;
}

/** Prompts of one call that go into one lane. */
export interface Part {
  /** What saw their images, and so answers them. */
  readonly model: string;
  /** null: as the model has it. */
  readonly beams: number | null;
  readonly members: readonly { readonly index: number; readonly prompt: SightPrompt }[];
}

/**
 * Cuts a call by model and beams only: what one run asks stays together otherwise, because the run
 * waits for all of it anyway.
 */
export function partsOf(prompts: readonly SightPrompt[]): Part[] {
  const parts = new Map<
    string,
    Part & { readonly members: { index: number; prompt: SightPrompt }[] }
  >();
  for (const [index, prompt] of prompts.entries()) {
    const { model } = prompt.sight;
    const beams = prompt.options.beams ?? null;
    found(parts, JSON.stringify([model, beams]), () => ({
      model,
      beams,
      members: [],
    })).members.push({ index, prompt });
  }
  return [...parts.values()];
}

function found<Value>(known: Map<string, Value>, key: string, make: () => Value): Value {
  const value = known.get(key) ?? make();
  known.set(key, value);
  return value;
}
