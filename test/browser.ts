import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

const places = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const executablePath = places.find((place) => existsSync(place));

/**
 * Why a test of a page cannot run here; null if it can. CI must have a browser: there it is null.
 */
export const noBrowser: string | null =
  executablePath === undefined && process.env.CI === undefined
    ? "skipped: no Chromium is installed (apt-get install chromium)"
    : null;

/** Starts the system's Chromium, headless. Rejects if there is none. */
export function openBrowser(): Promise<Browser> {
  if (executablePath === undefined) throw new Error(`There is no ${places.join(", ")}.`);
  const isRoot = process.getuid?.() === 0; // Chromium's sandbox refuses root
  return chromium.launch({ executablePath, args: isRoot ? ["--no-sandbox"] : [] });
}
