// What nodes, farmers and wallets answer, as far as the page shows it.

export interface NodeStatus {
  readonly version: string | null;
  readonly name: string;
  readonly chain: string;
  readonly height: number;
  readonly tip: string;
  readonly peers: number;
  readonly reorgs: number;
  readonly mempool: number;
  readonly netspace_bytes: string;
  readonly synced: boolean;
  readonly listen: readonly string[];
  readonly banned: number;
  readonly checkpoint: { readonly height: number; readonly id: string; readonly reached: boolean } | null;
}

export interface Script {
  readonly asm: string;
  readonly hex: string;
  readonly type: string;
  readonly address?: string;
}

export interface Output {
  readonly n: number;
  readonly value: number;
  readonly scriptPubKey: Script;
}

export interface Input {
  readonly coinbase?: string;
  readonly txid?: string;
  readonly vout?: number;
  readonly sequence: number | bigint;
  readonly txinwitness?: readonly string[];
  readonly prevout?: { readonly value: number; readonly height: number; readonly scriptPubKey: Script };
}

export interface Transaction {
  readonly txid: string;
  readonly hash: string;
  readonly version: number | bigint;
  readonly size: number;
  readonly vsize: number;
  readonly weight: number;
  readonly locktime: number | bigint;
  readonly vin: readonly Input[];
  readonly vout: readonly Output[];
  readonly fee?: number;
  readonly hex?: string;
  readonly blockhash?: string;
  readonly confirmations?: number;
  readonly blocktime?: number;
}

export interface Header {
  readonly hash: string;
  readonly confirmations: number;
  readonly height: number;
  readonly version: number;
  readonly versionHex: string;
  readonly merkleroot: string;
  readonly time: number;
  readonly nonce: number;
  readonly bits: string;
  readonly nTx: number;
  readonly slot: number | bigint;
  readonly farmer: string;
  readonly difficultyexact: string;
  readonly chainweight: string;
  readonly previousblockhash?: string;
  readonly nextblockhash?: string;
}

export interface Block extends Header {
  readonly size: number;
  readonly weight: number;
  readonly tx: readonly (Transaction | string)[];
}

export interface PoolInfo {
  readonly size: number;
  readonly bytes: number;
  readonly usage: number;
  readonly maxmempool: number;
  readonly mempoolminfee: number;
  readonly total_fee: number;
}

export interface PoolEntry {
  readonly vsize: number;
  readonly weight: number;
  readonly time: number;
  readonly fees: { readonly base: number; readonly modified: number };
}

export interface ChainTip {
  readonly height: number;
  readonly hash: string;
  readonly branchlen: number;
  readonly status: string;
}

export interface Supply {
  readonly issued: number | bigint;
  readonly burned: number | bigint;
  readonly genesis: number | bigint;
  readonly pending: number | bigint;
}

export interface Ban {
  readonly farmer: string;
  readonly height: number;
}

export interface PeerInfo {
  readonly id: number;
  readonly addr: string;
  readonly network: string;
  readonly inbound: boolean;
  readonly conntime: number;
  readonly lastsend: number;
  readonly lastrecv: number;
  readonly bytessent: number;
  readonly bytesrecv: number;
  readonly subver: string;
  readonly peerid: string;
  readonly multiaddr: string;
  readonly pingtime?: number;
  readonly minping?: number;
}

export interface DiskStatus {
  readonly path: string;
  readonly harvester: string | null;
  readonly plots: number;
  readonly bytes: number | bigint;
  readonly free_bytes: number | bigint | null;
  readonly unfinished: readonly { readonly plots: number; readonly staged: number; readonly bytes_missing: number | bigint }[];
  readonly answered: number | bigint | null;
  readonly missed: number;
  readonly away: boolean;
  readonly hangs: boolean;
  readonly p50_milliseconds: number | null;
  readonly p99_milliseconds: number | null;
  readonly faults: readonly { readonly kind: string; readonly path: string; readonly reason: string }[];
}

export interface HarvesterStatus {
  readonly name: string;
  readonly connected: boolean;
  readonly reason: string | null;
  readonly software: string | null;
  readonly protocol: number | null;
  readonly disks: number;
}

export interface FarmChain {
  readonly name: string;
  readonly chain: string;
  readonly beacon: string;
  readonly node: string;
  readonly connected: boolean;
  readonly reason: string | null;
  readonly height: number | null;
  readonly pending: { readonly rewards: number; readonly amount: number | bigint } | null;
  readonly peers: number | null;
  readonly synced: boolean | null;
  readonly clock_skew_slots: number;
  readonly banned: number | null;
  readonly watch_slots: number;
  readonly other_farmer: { readonly slot: number; readonly height: number; readonly id: string } | null;
  readonly wins: number;
  readonly lost: number;
  readonly expected_wins: number;
  readonly p_value: number;
}

export interface FarmStatus {
  readonly farmer: string;
  readonly version: string;
  readonly disks: readonly DiskStatus[];
  readonly harvesters: readonly HarvesterStatus[];
  readonly chains: readonly FarmChain[];
  readonly rounds: number;
  readonly reads: number;
  readonly qualities: number;
  readonly proofs: number;
}

export interface GroupTurn {
  readonly group: string;
  readonly plots: number;
  readonly round: number | bigint;
  readonly time: number;
  readonly is_expected: boolean;
}

export interface FarmReads {
  readonly time: number;
  readonly beacons: readonly {
    readonly chains: readonly string[];
    readonly round: number | bigint;
    readonly round_seconds: number;
    readonly known: { readonly blocks: number; readonly expected: number; readonly earliest: number } | null;
    readonly disks: readonly {
      readonly disk: string;
      readonly groups: number;
      readonly reads_per_hour: number;
      readonly turns: readonly GroupTurn[];
      readonly left_off: number;
    }[];
  }[];
  readonly disks: readonly {
    readonly disk: string;
    readonly reads_per_hour: number;
    readonly sleeps_until: number | null;
    readonly is_period_end: boolean;
  }[];
}

export interface Finding {
  readonly kind: string;
  readonly severity: "error" | "warning";
  readonly subject: string;
  readonly file?: string;
  readonly problem: string;
  readonly action: string;
}

export interface Diagnosis {
  readonly earns: boolean;
  readonly findings: readonly Finding[];
  readonly trials: readonly { readonly disk: string; readonly failure: string | null; readonly milliseconds: number }[];
}

export interface RoundReport {
  readonly chains: readonly string[];
  readonly round: number | bigint;
  readonly time: number;
  readonly asked: number;
  readonly reads: number;
  readonly qualities: number;
  readonly milliseconds: number | null;
  readonly is_over: boolean;
  readonly missed: readonly string[];
}

export interface ChainLuck {
  readonly name: string;
  readonly plot_bytes: number | bigint;
  readonly netspace_bytes: string | null;
  readonly share: number | null;
  readonly seconds_per_win: number | null;
  readonly wins: number;
  readonly expected_wins: number;
  readonly wins_low: number;
  readonly wins_high: number;
  readonly won: readonly { readonly height: number; readonly time: number }[];
}

export interface FarmLuck {
  readonly seconds: number;
  readonly chains: readonly ChainLuck[];
}

export interface PlottingStatus {
  readonly disk: string;
  readonly in_work: boolean | null;
  readonly paused: boolean;
  readonly job: {
    readonly plots: number;
    readonly made: number;
    readonly percent: number;
    readonly bytes_per_second: number;
    readonly seconds_left: number | null;
    readonly is_over: boolean;
    readonly failure: string | null;
  } | null;
}
