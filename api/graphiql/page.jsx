import { GraphiQL } from "graphiql";
import { getOperationAST } from "graphql";
import { createClient } from "graphql-sse";
import { createRoot } from "react-dom/client";
import "graphiql/style.css";
import { examples } from "./examples.ts";

const page = document.getElementById("page");
const key = decodeURIComponent(page.dataset.key);
const authorization = key === "" ? "Bearer vdr_live_…" : `Bearer ${key}`;
const headersText = JSON.stringify({ authorization }, null, 2);

/** Subscriptions go to the event stream, all else to /graphql. A tab without headers is sent with the local key. */
function fetcher({ query, variables, operationName }, { headers, documentAST }) {
  const request = { query, variables, operationName };
  const sent = { authorization, ...headers };
  const operation = documentAST && getOperationAST(documentAST, operationName);
  if (operation?.operation === "subscription")
    return createClient({ url: "/graphql/stream", headers: sent }).iterate(request);
  return fetch("/graphql", {
    method: "POST",
    headers: { ...sent, "content-type": "application/json" },
    body: JSON.stringify(request),
  }).then((response) => response.json());
}

const tabs = examples.map(({ query, variables }) => ({
  query,
  headers: headersText,
  variables: variables ? JSON.stringify(variables, null, 2) : undefined,
}));

/**
 * GraphiQL takes the first tab's query from `defaultTabs`, but the variables of its editor from this
 * property and from its storage alone. On a later visit they come from the storage: the property
 * would open a tab of its own then.
 */
const isFirstVisit = localStorage.getItem("graphiql:tabState") === null;
const variables = isFirstVisit ? tabs[0].variables : undefined;

createRoot(page).render(
  <GraphiQL
    fetcher={fetcher}
    defaultTabs={tabs}
    defaultHeaders={headersText}
    variables={variables}
  />,
);
