import { sampleImage } from "./sample-image.ts";

/** An operation that stands ready in a tab. */
export interface Example {
  readonly query: string;
  readonly variables?: Readonly<Record<string, unknown>>;
}

const runFields = `
      id
      status
      image { id width height }
      tasks {
        name
        error { code message }
        result {
          ... on CaptionResult { text score }
          ... on DetectionResult { objects { label score box { x0 y0 x1 y1 } } }
        }
      }`;

/** GraphiQL's tabs at the first visit. */
export const examples: readonly Example[] = [
  {
    query: `# Two questions about one image; the answer waits for them. Press the play button.
mutation CaptionAndDetect($base64: String!) {
  runCreate(input: {
    source: { base64: $base64 }
    tasks: [{ caption: { detail: BRIEF } }, { detectObjects: {} }]
    waitMs: 30000
  }) {
    run {${runFields}
    }
    userErrors { path code message fix }
  }
}
`,
    variables: { base64: sampleImage },
  },
  {
    query: `# Also: an image of an earlier run, source: { imageId: "img_…" }, or one from the web,
# source: { url: "https://…" }.
mutation ReadTextAndGround($base64: String!) {
  runCreate(input: {
    source: { base64: $base64 }
    tasks: [{ readText: { regions: true } }, { groundPhrases: {} }]
    waitMs: 30000
  }) {
    run {
      id
      status
      tasks {
        name
        error { code message }
        result {
          ... on OcrResult { text regions { text quad { points { x y } } } }
          ... on GroundingResult { caption phrases { text boxes(unit: NORMALIZED) { x0 y0 x1 y1 } scores } }
        }
      }
    }
    userErrors { path code message fix }
  }
}
`,
    variables: { base64: sampleImage },
  },
  {
    query: `# Your runs, newest first, and the models of this service.
query RunsAndModels {
  runs(first: 5) {
    edges { node { id status createdAt finishedAt timings { queuedMs visionMs totalMs } } }
    pageInfo { hasNextPage endCursor }
  }
  models { id description tasks isDefault }
}
`,
  },
  {
    query: `# A run as it goes on, by server-sent events. Put the id of a run into the variables first; the
# first tab's answer has one.
subscription Follow($id: ID!) {
  runProgress(id: $id) { id status tasks { name finish } }
}
`,
    variables: { id: "run_…" },
  },
  {
    query: `# Ends a run that has not finished. Put its id into the variables first.
mutation Cancel($runId: ID!) {
  runCancel(input: { runId: $runId }) {
    run { id status }
    userErrors { code message }
  }
}
`,
    variables: { runId: "run_…" },
  },
  {
    query: `# Large files: PUT the bytes to the url, then use source: { uploadId: "…" }.
mutation Upload($byteSize: Int!, $sha256: String!) {
  uploadsCreate(input: { files: [{ byteSize: $byteSize, sha256: $sha256 }] }) {
    targets { uploadId method url headers { name value } expiresAt }
    userErrors { path code message fix }
  }
}
`,
    variables: {
      byteSize: 183512,
      sha256: "0000000000000000000000000000000000000000000000000000000000000000",
    },
  },
];
