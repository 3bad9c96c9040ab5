import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import protobuf from "protobufjs";
import { afterEach, beforeEach, expect, test } from "vitest";
import { buildGraph, elements } from "../../../../inference/build/onnx/graph.ts";
import { readGraph } from "../../../../inference/build/onnx/read.ts";
import { writeGraph } from "../../../../inference/build/onnx/write.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "vedere-onnx-"));
});
afterEach(() => rm(folder, { recursive: true }));

const numbers = Float32Array.of(1.5, -2, 3, 4, 5, 6);

test("what was written is read: operators, ports, weights", async () => {
  const graph = buildGraph();
  const x = graph.input("x", { element: "float32", dims: ["rows", 3] });
  const weight = graph.weight({
    element: "float32",
    dims: [2, 3],
    read: async () => new Uint8Array(numbers.buffer),
  });
  graph.output(
    "y",
    graph.contrib("FusedMatMul", [x, weight], { transB: 1, alpha: { float: 0.5 } }),
    {
      element: "float32",
      dims: ["rows", 2],
    },
  );
  const file = path.join(folder, "graph.onnx");
  await writeGraph(file, graph.done());

  const read = await readGraph(file);
  expect(read).toMatchObject({ inputs: ["x"], outputs: ["y"] });
  expect(read.operators).toEqual([
    {
      type: "FusedMatMul",
      domain: "com.microsoft",
      inputs: ["x", weight],
      outputs: ["y"],
      integers: new Map([["transB", 1]]),
    },
  ]);
  const { element, dims } = read.weights.get(weight) ?? expect.unreachable();
  expect({ element, dims }).toEqual({ element: "float32", dims: [2, 3] });
  for (let time = 0; time < 2; time += 1) {
    const bytes = (await read.weights.get(weight)?.bytes()) ?? expect.unreachable();
    expect(bytes.byteOffset % 4).toBe(0);
    expect(new Float32Array(bytes.buffer, bytes.byteOffset, numbers.length)).toEqual(numbers);
  }
});

test("weights that stand in a file beside the graph are read from there, and lists of numbers are left", async () => {
  const schemaFile = fileURLToPath(
    new URL("../../../../inference/build/onnx/onnx.proto", import.meta.url),
  );
  const schema = protobuf.parse(await readFile(schemaFile, "utf8"), { keepCase: true }).root;
  const entries = (values: Record<string, string>) =>
    Object.entries(values).map(([key, value]) => ({ key, value }));
  const tensor = { dims: [2, 3], data_type: elements.float32.code, data_location: 1 };
  const initializer = [
    {
      ...tensor,
      name: "part",
      external_data: entries({ location: "all.bin", offset: "16", length: "24" }),
    },
    { ...tensor, name: "rest", external_data: entries({ location: "all.bin", offset: "16" }) },
    {
      ...tensor,
      name: "short",
      external_data: entries({ location: "all.bin", offset: "32", length: "24" }),
    },
    { name: "list", dims: [1], data_type: elements.float32.code, float_data: [1] },
    { name: "double", dims: [1], data_type: 11, raw_data: new Uint8Array(8) },
  ];
  const file = path.join(folder, "graph.onnx");
  await writeFile(
    file,
    schema.lookupType("onnx.ModelProto").encode({ graph: { initializer } }).finish(),
  );
  await writeFile(
    path.join(folder, "all.bin"),
    Buffer.concat([new Uint8Array(16), new Uint8Array(numbers.buffer)]),
  );

  const { weights } = await readGraph(file);
  for (const name of ["part", "rest"])
    expect(await weights.get(name)?.bytes()).toEqual(new Uint8Array(numbers.buffer));
  await expect(weights.get("short")?.bytes()).rejects.toThrow("ends before");
  expect(await weights.get("list")?.bytes()).toBeNull();
  expect(weights.get("double")?.element).toBeNull();
});
