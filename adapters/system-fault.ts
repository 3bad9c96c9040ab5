/** What an error of the system means to whoever runs a command: a sentence, and what to do. */
export interface SystemFault {
  readonly message: string;
  readonly fix: string;
}

/** An errno of the file system or the network in words; null for any other error. */
export function systemFault(error: unknown): SystemFault | null {
  if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "string")
    return null;
  const isErrno = "syscall" in error || "errno" in error;
  const meaning = Object.hasOwn(meanings, error.code) ? meanings[error.code] : undefined;
  if (!meaning && !isErrno) return null;
  const [fault, fix] = meaning ?? [`was refused by the system (${error.code})`, checkPath];
  return { message: `${subjectOf(error)} ${fault}.`, fix };
}

const checkPath = "Check the path and its permissions.";
const freePort = "End the program that listens there, or choose another port.";

/** After Node's names: https://nodejs.org/api/errors.html#common-system-errors */
const meanings: Readonly<Record<string, readonly [fault: string, fix: string]>> = {
  ENOENT: ["does not exist", checkPath],
  EISDIR: ["is a folder, not a file", "Name a file in it."],
  ENOTDIR: ["is no folder, or something in its path is a file", "Check each part of the path."],
  ENOTEMPTY: ["is a folder that is not empty", "Empty it, or choose another."],
  EEXIST: ["is there already", "Move it away, or choose another name."],
  EACCES: ["may not be used by this user", "Give this user permission, or choose another."],
  EPERM: ["may not be changed by this user", "Give this user permission, or choose another."],
  EROFS: ["is on a read-only file system", "Choose a place that can be written to."],
  ELOOP: ["is a symbolic link that leads back to itself", "Name the file that it should lead to."],
  ENAMETOOLONG: ["is too long a name for this file system", "Choose a shorter one."],
  ENOSPC: ["has no space left: the disk is full", "Free some space, or choose another disk."],
  EDQUOT: ["is beyond this user's disk quota", "Free some space, or choose another disk."],
  EFBIG: ["is too large for this file system", "Choose another disk."],
  EMFILE: ["cannot be opened: too many files are open", "Raise the limit: `ulimit -n 4096`."],
  ENFILE: ["cannot be opened: too many files are open", "End programs that hold many files open."],
  EBUSY: ["is in use", "End the program that uses it, then try again."],
  EXDEV: ["is on another disk", "Choose a place on the same disk."],
  EIO: ["cannot be read or written: the disk failed", "Look for disk errors in the system's log."],
  ENXIO: ["is a socket or a device that nobody serves", "Name a file."],
  EINVAL: ["is not taken by this system", checkPath],
  EADDRINUSE: ["is taken by another program", freePort],
  EADDRNOTAVAIL: ["is no address of this machine", "Choose another with --host."],
  ECONNREFUSED: ["takes no connections", "See that the service there runs, and its port."],
  ECONNRESET: ["closed the connection", "Try again; see that the service there runs."],
  ETIMEDOUT: ["does not answer", "Try again; see that the service there can be reached."],
  ENOTFOUND: ["is a name that no address is known for", "Check the name and the network."],
  EAI_AGAIN: ["cannot be looked up: the name server does not answer", "Check the network."],
};

/** What it is about: a path, an address or a host; a read of an open file names none. */
function subjectOf(error: Error): string {
  const named = (field: string): string | null => {
    const value: unknown = Reflect.get(error, field);
    return typeof value === "string" && value !== "" ? value : null;
  };
  const port: unknown = Reflect.get(error, "port");
  const address = named("address");
  if (address) return typeof port === "number" ? `${address}:${port}` : address;
  const subject = named("path") ?? named("hostname");
  if (subject) return subject.replace(/\p{Cc}/gu, "?"); // a name must not steer the terminal
  return named("syscall") === "write" ? "The output" : "What was named";
}
