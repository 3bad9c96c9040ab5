import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  buildGraph,
  elements,
  type Name,
  type Weight,
} from "../../../inference/build/onnx/graph.ts";
import { writeGraph } from "../../../inference/build/onnx/write.ts";
import { readEmbedding, runEmbedding } from "../../../inference/florence2/embedding.ts";
import { toFloat16 } from "../../../inference/florence2/float16.ts";
import { openGraph } from "../../../inference/florence2/graph.ts";
import { nanoFolder, random } from "./fixtures.ts";

const [count, width] = [11, 6];
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "vedere-embedding-"));
});
afterAll(() => rm(folder, { recursive: true }));

const next = random(2);
const numbers = Float32Array.from({ length: count * width }, () => Math.fround(next() - 0.5));
const bytesOf = ({ buffer }: Float32Array | Uint16Array) => new Uint8Array(buffer);
const singles: Weight = {
  element: "float32",
  dims: [count, width],
  read: async () => bytesOf(numbers),
};
const halves: Weight = {
  element: "float16",
  dims: [count, width],
  read: async () => bytesOf(toFloat16(numbers)),
};

type Scope = ReturnType<typeof buildGraph>;

/**
 * A graph from input_ids to what `make` makes of them; constants of odd names and sizes move the
 * table to any address in the file.
 */
async function write(make: (graph: Scope, ids: Name) => Name, padding = 0): Promise<string> {
  const graph = buildGraph();
  const ids = graph.input("input_ids", { element: "int64", dims: ["b", "s"] });
  if (padding > 0)
    graph.weight({ element: "uint8", dims: [padding], read: async () => new Uint8Array(padding) });
  graph.output("inputs_embeds", make(graph, ids), { element: "float32", dims: ["b", "s", width] });
  const file = path.join(folder, `${Math.floor(1e9 * next())}.onnx`);
  await writeGraph(file, graph.done());
  return file;
}

const gathered = (table: Weight) => (graph: Scope, ids: Name) =>
  graph.op("Gather", [graph.weight(table), ids]);
const cast = (table: Weight) => (graph: Scope, ids: Name) =>
  graph.op("Cast", [gathered(table)(graph, ids)], { to: elements.float32.code });

async function computed(file: string, ids: readonly number[]): Promise<Float32Array> {
  const graph = await openGraph(file, { executionProvider: "cpu", threads: 1 });
  const rows = await runEmbedding(graph).rowsOf(ids);
  await graph.release();
  return rows;
}

describe("an embedding looked up in our own memory", () => {
  test("is, to the last bit, what a session computes: florence-2-nano", async () => {
    const file = path.join(nanoFolder, "onnx/embed_tokens.onnx");
    const ids = [0, 2, 1618, 7, 7, 600, 1];
    const embedding = await readEmbedding(file);
    expect(await embedding?.rowsOf(ids)).toEqual(await computed(file, ids));
    expect(await embedding?.rowsOf([])).toEqual(new Float32Array());
  });

  test.each([0, 1, 2, 3, 4, 5])(
    "stands at any address in its file: %i bytes further",
    async (padding) => {
      const ids = [10, 0, 3];
      for (const make of [gathered(singles), cast(halves)]) {
        const file = await write(make, padding);
        expect(await (await readEmbedding(file))?.rowsOf(ids)).toEqual(await computed(file, ids));
      }
    },
  );

  test("has no vector of a token beyond it", async () => {
    const embedding = await readEmbedding(await write(gathered(singles)));
    for (const id of [-1, count]) {
      await expect(embedding?.rowsOf([0, id])).rejects.toMatchObject({
        code: "MODEL_FAILED",
        message: expect.stringContaining(String(id)),
      });
    }
  });
});

describe("an embedding that has to be computed", () => {
  test.each<[string, (graph: Scope, ids: Name) => Name]>([
    [
      "scaled",
      (graph, ids) => graph.op("Mul", [gathered(singles)(graph, ids), graph.float32([2])]),
    ],
    [
      "columns of the table",
      (graph, ids) => graph.op("Gather", [graph.weight(singles), ids], { axis: 1 }),
    ],
    [
      "quantized",
      (graph, ids) => {
        const bytes = graph.weight({
          element: "int8",
          dims: [count, width],
          read: async () => new Uint8Array(count * width),
        });
        return graph.op("DequantizeLinear", [
          graph.op("Gather", [bytes, ids]),
          graph.float32([0.1], []),
        ]);
      },
    ],
    [
      "of other tokens",
      (graph, ids) =>
        graph.op("Gather", [graph.weight(singles), graph.op("Add", [ids, graph.int64(1)])]),
    ],
  ])("is told from a table: %s", async (_, make) => {
    expect(await readEmbedding(await write(make))).toBeNull();
  });

  test("is no file of another kind", async () => {
    await expect(readEmbedding(path.join(nanoFolder, "tokenizer.json"))).rejects.toThrow(
      "no ONNX file",
    );
  });
});
