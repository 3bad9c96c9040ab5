import type { LookupAddress } from "node:dns";
import type { LookupFunction } from "node:net";
import { buildConnector } from "undici";
import { AppError } from "../core/errors.ts";
import { specialRangeOf } from "./egress.ts";

export interface EgressSettings {
  /** Development: also private addresses. */
  readonly allowPrivate: boolean;
  readonly totalMs: number;
  readonly lookup: LookupFunction;
}

type FoundAddresses = string | LookupAddress[];

/**
 * A connector for undici that reaches public addresses only: it connects where every address of the
 * name is public, and checks once more whom the socket has reached. Literal addresses are not
 * looked up: check them before. Fails with AppError SOURCE_BLOCKED, as the cause of the error where
 * it happens in the lookup (node takes only system errors there).
 */
export function guardedConnector(settings: EgressSettings): buildConnector.connector {
  const isRefused = (address: string) => !settings.allowPrivate && specialRangeOf(address) !== null;
  // Node calls back outside any promise: what is thrown there ends the process.
  const lookup: LookupFunction = (hostname, options, callback) => {
    settings.lookup(hostname, { ...options, all: true }, (error, found?: FoundAddresses) => {
      if (error) return callback(error, []); // `found` is undefined then, whatever node's types declare
      const addresses = Array.isArray(found) ? found : [];
      const [first] = addresses;
      if (!first) return callback(new Error("The name has no address."), []);
      if (addresses.some(({ address }) => isRefused(address)))
        return callback(new Error("refused", { cause: blocked(notPublic) }), []);
      if (options.all) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
  const connect = buildConnector({ lookup, timeout: settings.totalMs });
  return (options, callback) => {
    connect(options, (error, socket) => {
      if (error) return callback(error, null);
      if (!isRefused(socket.remoteAddress ?? "")) return callback(null, socket);
      socket.destroy();
      callback(blocked(notPublic), null);
    });
  };
}

export const notPublic = "The URL leads to an address that is not public.";

/** For who runs the service; what the name leads to stays untold. */
export const privateWay =
  "On your own service, VEDERE_FETCH_PRIVATE=true also allows http and private addresses, for development.";

const publicFix = `Give a plain https URL of a public host, or upload the file instead. ${privateWay}`;

export function blocked(message: string, fix = publicFix): AppError {
  return new AppError("SOURCE_BLOCKED", message, { fix });
}
