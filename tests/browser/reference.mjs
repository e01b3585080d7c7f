// The reference under /docs.

import { inspect } from "./lib/inspect.mjs";
import { story } from "./lib/story.mjs";

story(async (told) => {
  for (const [name, path] of [["docs", "/docs"], ["docs-errors", "/docs/errors"]]) {
    await inspect(told, name, told.plan.url + path, { once: true });
  }
});
