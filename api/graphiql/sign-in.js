/**
 * Signs in with the one-time token of the page's address, and takes it out of the address and the
 * history first. Null if there is no token. Throws an Error with the service's reason.
 */
export async function signInByLink() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token === null) return null;
  history.replaceState(null, "", location.pathname);
  return signIn({ token }).catch(async (error) => {
    const known = await currentSession();
    if (known) return known; // a link that was opened again, in a browser that is signed in
    throw error;
  });
}

/** Posts a key or a token for a session; its cookie is the browser's, out of reach of scripts. */
export async function signIn(credential) {
  const response = await fetch("/session", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(credential),
  });
  const body = await response.json();
  if (response.ok) return body;
  throw new Error(body.errors[0].message);
}

/** What the browser's session may do and until when; null if nobody is signed in. */
export async function currentSession() {
  const response = await fetch("/session");
  return response.ok ? response.json() : null;
}

export async function signOut() {
  await fetch("/session", { method: "DELETE" });
}
