import type { ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { noBrowser, openBrowser } from "../browser.ts";
import { outputUntil, startVedere } from "../cli/vedere.ts";

let data: string;
let service: ChildProcess;
let link: string;
let browser: Browser;
let page: Page;
/**
 * What the page must not do: requests to elsewhere, errors in the console (Chromium reports
 * violations of the CSP there).
 */
const faults: string[] = [];

const title = (promise: string) => (noBrowser === null ? promise : `${promise} (${noBrowser})`);

beforeAll(async () => {
  if (noBrowser !== null) return;
  data = mkdtempSync(join(tmpdir(), "vedere-graphiql-"));
  service = startVedere(["start", "--data", data, "--port", "0"]);
  const output = await outputUntil(service, "Ready.");
  link = /^ *GraphiQL +(\S+)/m.exec(output)?.[1] ?? "";
  browser = await openBrowser();
  page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  const { origin } = new URL(link);
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.protocol !== "data:" && url.protocol !== "blob:" && url.origin !== origin)
      faults.push(`request ${request.url()}`);
  });
  page.on("console", (message) => {
    if (message.type() === "error") faults.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => faults.push(`thrown: ${error.message}`));
  await page.goto(link);
  await page.locator(".graphiql-execute-button").waitFor();
});

afterAll(async () => {
  await browser?.close();
  service?.kill("SIGKILL");
  if (data) rmSync(data, { recursive: true, force: true });
});

/** Runs in the page: its editor draws only the lines that are in view, and knows the others. */
const answerShown = `document.querySelector(".graphiql-response .CodeMirror")
  ?.CodeMirror.getValue().trim() || null`;

const queryShown = `document.querySelector(".graphiql-query-editor .CodeMirror")
  ?.CodeMirror.getValue()`;

/** Presses play in a tab and returns the answer that the page shows. */
async function play(tab: number): Promise<string> {
  await page.locator(".graphiql-tab-button").nth(tab).click();
  await page.locator(".graphiql-execute-button").click();
  // The page's policy forbids what waitForFunction does: evaluating text later, from a timer.
  const shown = () => page.evaluate<string | null>(answerShown);
  await expect.poll(shown, { timeout: 25_000 }).not.toBeNull();
  return String(await shown());
}

test.skipIf(noBrowser !== null)(
  title("the first play button of GraphiQL ends in SUCCEEDED, with a caption and boxes"),
  async () => {
    const answer = JSON.parse(await play(0));
    expect(answer.data.runCreate).toMatchObject({
      run: {
        status: "SUCCEEDED",
        tasks: [
          { result: { text: expect.stringContaining("boat") } },
          { result: { objects: [{ label: "boat" }, {}, {}] } },
        ],
      },
      userErrors: [],
    });
  },
);

test.skipIf(noBrowser !== null)(
  title("every other tab of GraphiQL answers as it stands, or says what it needs"),
  async () => {
    const answers: string[] = [];
    for (let tab = 1; tab < 6; tab += 1) answers.push(await play(tab));
    const [read = "", runs = "", follow = "", cancel = "", upload = ""] = answers;
    expect(JSON.parse(read).data.runCreate).toMatchObject({ run: { status: "SUCCEEDED" } });
    expect(JSON.parse(runs).data).toMatchObject({
      runs: { edges: [{}, {}] },
      models: [{ id: "florence-2-nano" }],
    });
    expect(follow).toMatch(/no such run|no run/i);
    expect(JSON.parse(cancel).data.runCancel).toMatchObject({
      run: null,
      userErrors: [{ message: expect.stringMatching(/no such run|no run/i) }],
    });
    expect(JSON.parse(upload).data.uploadsCreate).toMatchObject({
      targets: [{ method: "PUT" }],
      userErrors: [],
    });
  },
);

test.skipIf(noBrowser !== null)(
  title("a second visit keeps the tabs as they were, and opens none"),
  async () => {
    const tabs = page.locator(".graphiql-tab-button");
    const before = await tabs.allTextContents();
    for (const [tab, msBefore] of [
      [0, 0],
      [3, 0],
      [1, 600], // GraphiQL stores what it shows half a second late
    ] as const) {
      await tabs.nth(tab).click();
      await page.waitForTimeout(msBefore);
      await page.reload();
      await page.locator(".graphiql-execute-button").waitFor();
      expect(await tabs.allTextContents()).toEqual(before);
    }
  },
);

test.skipIf(noBrowser !== null)(
  title("who signs out and in again finds the tabs, and the editors show the active one"),
  async () => {
    const tabs = page.locator(".graphiql-tab-button");
    const before = await tabs.allTextContents();
    const key = readFileSync(join(data, "local.key"), "utf8").trim();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("API key").fill(key);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.locator(".graphiql-execute-button").waitFor();
    expect(await tabs.allTextContents()).toEqual(before);
    const active = await page.locator(".graphiql-tab-active .graphiql-tab-button").textContent();
    expect(await page.evaluate(queryShown)).toContain(active);
  },
);

test.skipIf(noBrowser !== null)(
  title("GraphiQL asks no other origin, breaks no policy and logs no error"),
  () => {
    expect(faults).toEqual([]);
  },
);
