import { expect, test } from "vitest";
import { parseTarget } from "../../api/request-target.ts";

test.each([
  "/",
  "/graphql",
  "/graphql/stream",
  "/graphiql/page.js",
  "/uploads/upl_0aZ",
  "/a-b_c.d~e",
  "/graphql/",
  "/graphql?a=b&c=%20//../",
  "/graphql?a=?b",
])("a plain path means itself: %s", (target) => {
  const url = parseTarget(target);
  expect(url?.pathname).toBe(target.split("?")[0]);
  expect(url && url.pathname + url.search).toBe(target);
});

test.each([
  ["two slashes, another host", "//evil/graphql"],
  ["two slashes within", "/a//graphql"],
  ["two slashes at the end", "/graphql//"],
  ["three slashes", "///graphql"],
  ["a backslash, which URLs read as a slash", "/\\evil/graphql"],
  ["a backslash alone", "\\graphql"],
  ["a dot segment", "/./graphql"],
  ["two dots", "/a/../graphql"],
  ["two dots at the end", "/graphql/.."],
  ["encoded dots", "/a/%2e%2e/graphql"],
  ["half-encoded dots", "/a/.%2E/graphql"],
  ["an encoded letter", "/%67raphql"],
  ["an encoded slash", "/graphql%2fstream"],
  ["an encoded backslash", "/a%5c..%5cgraphql"],
  ["an encoded NUL", "/graphql%00"],
  ["an encoded percent sign", "/%2567raphql"],
  ["a matrix parameter", "/graphql;a=b"],
  ["a fragment", "/graphql#a"],
  ["a fragment in the query", "/graphql?a#b"],
  ["a tab, which URLs leave out", "/graph\tql"],
  ["a line break, which URLs leave out", "/graphql\n"],
  ["a space", "/graphql "],
  ["an at sign", "/@evil/graphql"],
  ["a colon", "/a:b"],
  ["a letter that is not ASCII", "/gr\u00e4phql"],
  ["a full-width slash", "/\uff0fgraphql"],
  ["a URL", "http://evil/graphql"],
  ["a URL of this service", "http://gateway/graphql"],
  ["an authority", "evil:443"],
  ["an asterisk", "*"],
  ["no slash at the beginning", "graphql"],
  ["only a query", "?a=b"],
  ["nothing", ""],
])("another spelling leads nowhere: %s", (_what, target) => {
  expect(parseTarget(target)).toBeNull();
});
