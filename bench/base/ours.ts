import { openOurs } from "./open-ours.ts";
import { serve } from "./serve.ts";

// The process of our side.
await serve(openOurs);
