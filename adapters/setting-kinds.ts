import ipaddr from "ipaddr.js";

/**
 * A kind of value: how it is read (undefined: it is none of this kind), and in words what is one.
 */
export interface Kind<Value> {
  readonly allowed: string;
  parse(text: string): Value | undefined;
}

export const anyText: Kind<string> = { allowed: "a text", parse: (text) => text };

export const hostName: Kind<string> = {
  allowed: "a host name or an IP address to listen on, such as 127.0.0.1 or 0.0.0.0",
  parse: (text) => (/^[\w.:-]+$/.test(text) ? text : undefined),
};

export const webAddress: Kind<string> = {
  allowed: "an http or https URL without query and fragment, such as https://vedere.example.com",
  parse: (text) => {
    const url = URL.canParse(text) ? new URL(text) : null;
    return url && /^https?:$/.test(url.protocol) && !/[?#]/.test(text)
      ? url.href.replace(/\/+$/, "")
      : undefined;
  },
};

/** Not parsed: emulators of SQS name queues by what is no URL to the letter. */
export const queueAddress: Kind<string> = {
  allowed: "the URL of a queue, such as https://sqs.eu-central-1.amazonaws.com/111122223333/runs",
  parse: (text) => (/^https?:\/\/[^\s/]+\/\S+$/.test(text) ? text : undefined),
};

/** As OpenTelemetry writes headers in the environment: values are URL-encoded. */
export const namedValues: Kind<Record<string, string>> = {
  allowed: "a list, by comma, of name=value",
  parse: (text) => {
    const pairs = text.split(",").map((pair) => /^\s*([^=\s]+)=(.*?)\s*$/.exec(pair));
    return pairs.every((pair) => pair !== null)
      ? Object.fromEntries(pairs.map(([, name = "", value = ""]) => [name, decoded(value)]))
      : undefined;
  },
};

function decoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

export function longText(lengthMin: number): Kind<string> {
  return {
    allowed: `a secret of at least ${lengthMin} characters`,
    parse: (text) => (text.length >= lengthMin ? text : undefined),
  };
}

export function wholeNumber(min: number, max: number): Kind<number> {
  return {
    allowed: `a whole number from ${min} to ${max}`,
    parse: (text) =>
      /^\d{1,9}$/.test(text) && Number(text) >= min && Number(text) <= max
        ? Number(text)
        : undefined,
  };
}

export function oneOf<const Choice extends string>(choices: readonly Choice[]): Kind<Choice> {
  return {
    allowed: choices.length === 1 ? choices.join() : `one of ${choices.join(", ")}`,
    parse: (text) => choices.find((choice) => choice === text),
  };
}

export function listOf<const Choice extends string>(choices: readonly Choice[]): Kind<Choice[]> {
  return {
    allowed: `a list, by comma, of ${choices.join(", ")}`,
    parse: (text) => {
      const items = text.split(",").map((item) => choices.find((choice) => choice === item.trim()));
      return items.every((item) => item !== undefined) ? items : undefined;
    },
  };
}

/** IP addresses and networks, each as a network. */
export const networks: Kind<string[]> = {
  allowed: "a list, by comma, of IP addresses and networks, such as 10.0.0.0/8,::1",
  parse: (text) => {
    const items = text.split(",").map((item) => networkOf(item.trim()));
    return items.every((item) => item !== undefined) ? items : undefined;
  },
};

function networkOf(text: string): string | undefined {
  if (ipaddr.isValidCIDR(text)) return text;
  if (!ipaddr.isValid(text)) return undefined;
  return `${text}/${ipaddr.parse(text).kind() === "ipv4" ? 32 : 128}`;
}
