/** Whether there is time to go on looking. */
export type Patience = () => boolean;

/** What a store takes, in bytes. */
export interface StorageReport {
  readonly dataDir: string;
  readonly database: {
    /** Of vedere.db. */
    readonly bytes: number;
    /** Of its write-ahead log, which a service at work keeps beside it. */
    readonly walBytes: number;
    /** Of pages in the file that hold nothing: they are used again. */
    readonly unusedBytes: number;
    /** The tables with their indexes. */
    readonly groups: readonly StorageGroup[];
  };
  readonly images: Counted;
  /** Uploads that came and were not deleted yet. */
  readonly uploads: Counted;
  /** Files that were being written when a process ended, or are being written now. */
  readonly drafts: Counted;
  /**
   * Pulled and built ones; `name` is id@revision, or the folder's name if nothing in it says more.
   */
  readonly models: readonly StorageGroup[];
  /** Backups that lie in the data folder, and what `vedere restore` moved aside there. */
  readonly backups: readonly StorageGroup[];
  /** Everything else in the data folder. */
  readonly otherBytes: number;
  readonly disk: { readonly freeBytes: number; readonly totalBytes: number };
  /** By tenant, those that were deleted but left something included; null unless asked for. */
  readonly tenants: readonly TenantStorage[] | null;
  /** False if the time was over before all was looked at: then every number is a lower bound. */
  readonly isComplete: boolean;
}

export interface StorageGroup {
  readonly name: string;
  readonly bytes: number;
}

export interface Counted {
  readonly count: number;
  readonly bytes: number;
}

export interface TenantStorage {
  readonly id: string;
  /** Null if there is no such tenant any more. */
  readonly name: string | null;
  /** With the bytes of their records. */
  readonly runs: Counted;
  /** With the bytes of their files. */
  readonly images: Counted;
}
