//! The methods that the page may call, by whom they go to. What is not named here is refused.

use crate::backend::Kind;

/// What a call may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    /// It tells what is public, or what whoever can read this machine's RPC knows.
    Read,
    /// It changes something, or is about somebody's money: it wants the token, on this machine alone.
    Change,
}

/// What a node tells. None of them changes anything, nor takes the node's own time without a bound.
const NODE: &[&str] = &[
    "estimatesmartfee",
    "getbestblockhash",
    "getblock",
    "getblockchaininfo",
    "getblockcount",
    "getblockhash",
    "getblockheader",
    "getblockstats",
    "getchaintips",
    "getchaintxstats",
    "getconnectioncount",
    "getdeploymentinfo",
    "getindexinfo",
    "getmempoolancestors",
    "getmempooldescendants",
    "getmempoolentry",
    "getmempoolinfo",
    "getmininginfo",
    "getnettotals",
    "getnetworkinfo",
    "getpeerinfo",
    "getrawmempool",
    "getrawtransaction",
    "gettxout",
    "decoderawtransaction",
    "decodescript",
    "help",
    "listbanned",
    "mass_address",
    "mass_bans",
    "mass_blocks",
    "mass_chart",
    "mass_feeBands",
    "mass_forks",
    "mass_lastSeal",
    "mass_pending",
    "mass_pendingTo",
    "mass_rewards",
    "mass_sealed",
    "mass_spec",
    "mass_status",
    "mass_supply",
    "uptime",
    "validateaddress",
];

/// What changes a node, or has it tell others something.
const NODE_CHANGES: &[&str] = &["addnode", "clearbanned", "sendrawtransaction", "setban"];

const FARM: &[&str] = &[
    "mass_farmDoctor",
    "mass_farmLuck",
    "mass_farmPlotting",
    "mass_farmReads",
    "mass_farmRounds",
    "mass_farmStatus",
];

const FARM_CHANGES: &[&str] = &[
    "mass_farmPair",
    "mass_farmPlot",
    "mass_farmPlotPause",
    "mass_farmPlotResume",
    "mass_farmPlotStop",
    "mass_farmUnpair",
];

/// What may be asked of wallets, all with the token. Private keys and descriptors with them are not among it.
const WALLET: &[&str] = &[
    "bumpfee",
    "combinepsbt",
    "createwallet",
    "decodepsbt",
    "finalizepsbt",
    "getaddressinfo",
    "getbalance",
    "getbalances",
    "getnewaddress",
    "gettransaction",
    "getwalletinfo",
    "listlockunspent",
    "listtransactions",
    "listunspent",
    "listwalletdir",
    "listwallets",
    "loadwallet",
    "lockunspent",
    "rescanblockchain",
    "sendtoaddress",
    "sendmany",
    "setlabel",
    "testmempoolaccept",
    "sendrawtransaction",
    "unloadwallet",
    "walletcreatefundedpsbt",
    "walletlock",
    "walletpassphrase",
    "walletprocesspsbt",
];

/// What a call takes, if it is allowed at all.
pub(crate) fn right(kind: Kind, method: &str) -> Option<Right> {
    let (reads, changes) = match kind {
        Kind::Node => (NODE, NODE_CHANGES),
        Kind::Farm => (FARM, FARM_CHANGES),
        Kind::Wallet => (&[][..], WALLET),
    };
    if reads.contains(&method) {
        Some(Right::Read)
    } else {
        changes.contains(&method).then_some(Right::Change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_wants_the_token_and_what_is_not_named_is_refused() {
        for (kind, method, expected) in [
            (Kind::Node, "mass_status", Some(Right::Read)),
            (Kind::Node, "setban", Some(Right::Change)),
            (Kind::Node, "stop", None),
            (Kind::Node, "mass_submitSeal", None),
            (Kind::Node, "mass_prepareBlock", None),
            (Kind::Node, "getbalance", None),
            (Kind::Farm, "mass_farmStatus", Some(Right::Read)),
            (Kind::Farm, "mass_farmPair", Some(Right::Change)),
            (Kind::Farm, "getblock", None),
            (Kind::Wallet, "getbalance", Some(Right::Change)),
            (Kind::Wallet, "listdescriptors", None),
            (Kind::Wallet, "mass_farmStatus", None),
        ] {
            assert_eq!(right(kind, method), expected, "{method}");
        }
    }
}
