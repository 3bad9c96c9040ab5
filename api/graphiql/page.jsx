import { GraphiQL } from "graphiql";
import { Kind, parse } from "graphql";
import { createClient } from "graphql-sse";
import { useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import "graphiql/style.css";
import "./page.css";
import { examples } from "./examples.ts";
import { currentSession, signIn, signInByLink, signOut } from "./sign-in.js";

/**
 * Subscriptions go to the event stream, all else to /graphql. The browser adds the session's cookie,
 * which no script can read; a key in a tab's headers goes before it.
 */
function fetcher({ query, variables, operationName }, { headers }) {
  const operations = operationsIn(query);
  // Right after a change of tabs, GraphiQL still names the operation of the tab before.
  const isNamed = operations.some(({ name }) => name?.value === operationName);
  const request = { query, variables, operationName: isNamed ? operationName : undefined };
  const operation = operations.find(({ name }) => name?.value === request.operationName);
  if ((operation ?? operations[0])?.operation === "subscription")
    return createClient({ url: "/graphql/stream", headers: { ...headers } }).iterate(request);
  return fetch("/graphql", {
    method: "POST",
    headers: { ...headers, "content-type": "application/json" },
    body: JSON.stringify(request),
  }).then((response) => response.json());
}

/** The operations of a document; none if it does not parse, which the service explains better. */
function operationsIn(query) {
  try {
    return parse(query).definitions.filter(({ kind }) => kind === Kind.OPERATION_DEFINITION);
  } catch {
    return [];
  }
}

const tabs = examples.map(({ query, variables }) => ({
  query,
  variables: variables ? JSON.stringify(variables, null, 2) : undefined,
}));

/**
 * What GraphiQL's editors open with. At the first visit its `defaultTabs` have the query, but it takes
 * variables from this property and from its storage alone. Later, the active tab as it was stored:
 * GraphiQL stores tabs and editors separately and late, and opens a tab more where the two differ.
 */
function opened() {
  const stored = localStorage.getItem("graphiql:tabState");
  if (stored === null) return { variables: tabs[0].variables };
  try {
    const { tabs: storedTabs, activeTabIndex } = JSON.parse(stored);
    const { query, variables, headers } = storedTabs[activeTabIndex];
    return { query: query ?? "", variables: variables ?? "", headers: headers ?? undefined };
  } catch {
    return {}; // GraphiQL does not take it either, and starts anew
  }
}

/** Reads the storage each time it is shown: who signs out and in again has tabs by then. */
function Editors() {
  const [properties] = useState(opened);
  return <GraphiQL fetcher={fetcher} defaultTabs={tabs} {...properties} />;
}

/** Whether somebody is signed in: null until the service has answered. */
function Page() {
  const [session, setSession] = useState(null);
  const [problem, setProblem] = useState(null);
  const [isKnown, setKnown] = useState(false);
  useEffect(() => {
    opening.then(setSession, (error) => setProblem(error.message)).finally(() => setKnown(true));
  }, []);
  if (!isKnown) return null;
  if (!session) return <SignIn problem={problem} onSession={setSession} />;
  const end = () => signOut().then(() => setSession(null));
  return (
    <>
      <p className="session">
        Signed in until {new Date(session.expiresAt).toLocaleTimeString()}
        <button type="button" onClick={end}>
          Sign out
        </button>
      </p>
      <Editors />
    </>
  );
}

function SignIn({ problem, onSession }) {
  const [failure, setFailure] = useState(problem);
  const submit = (event) => {
    event.preventDefault();
    const key = new FormData(event.target).get("key");
    event.target.reset();
    signIn({ key }).then(onSession, (error) => setFailure(error.message));
  };
  return (
    <form className="sign-in" onSubmit={submit}>
      <h1>Vedere</h1>
      <p>
        Open the link that <code>vedere start</code> or <code>vedere link</code> prints, or sign in
        with an API key. The key is sent once; this page does not keep it.
      </p>
      <label>
        API key
        <input name="key" type="password" autoComplete="off" required />
      </label>
      <button type="submit">Sign in</button>
      {failure && <p role="alert">{failure}</p>}
    </form>
  );
}

/** Started once, outside of React: a link works once. */
const opening = signInByLink().then((session) => session ?? currentSession());

createRoot(document.getElementById("page")).render(<Page />);
