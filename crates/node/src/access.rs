//! Who may call a node's RPC, as the command line has it, and what anybody may call where anybody may read.

use std::{collections::BTreeSet, path::Path};

use anyhow::{Context as _, bail};
use clap::Args;
use mass_rpc::{Access, Methods, User};

/// What anybody may call with `--rpc-public`: what reads and costs little, and the broadcast of a transaction, which any
/// peer may do as well. All that changes the node, reads the whole state or tells of its peers is not here.
const PUBLIC: [&str; 41] = [
    "decoderawtransaction",
    "decodescript",
    "estimatesmartfee",
    "getbestblockhash",
    "getblock",
    "getblockchaininfo",
    "getblockcount",
    "getblockfilter",
    "getblockhash",
    "getblockheader",
    "getblockstats",
    "getchaintips",
    "getchaintxstats",
    "getdifficulty",
    "getindexinfo",
    "getmempoolancestors",
    "getmempooldescendants",
    "getmempoolentry",
    "getmempoolinfo",
    "getnetworkhashps",
    "getrawmempool",
    "getrawtransaction",
    "gettxout",
    "gettxoutproof",
    "help",
    "mass_bans",
    "mass_blocks",
    "mass_filters",
    "mass_headers",
    "mass_lastSeal",
    "mass_netspace",
    "mass_pending",
    "mass_pendingTo",
    "mass_spentTransactions",
    "mass_status",
    "mass_supply",
    "sendrawtransaction",
    "testmempoolaccept",
    "uptime",
    "validateaddress",
    "verifytxoutproof",
];

/// Those of the methods that anybody may call.
pub(crate) fn public(methods: &Methods) -> BTreeSet<String> {
    methods.method_names().filter(|name| PUBLIC.contains(name)).map(str::to_owned).collect()
}

/// Who may call the RPC beside who can read the cookie.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Who may call the RPC")]
pub struct AccessArgs {
    /// A user with a hash of the password, as `mass node password` makes it and Bitcoin Core's `rpcauth` has it; may be
    /// given several times.
    #[arg(long, value_name = "USER:SALT$HASH")]
    pub rpc_auth: Vec<User>,
    /// A user, for clients that cannot read the cookie. The password is in --rpc-password.
    #[arg(long, value_name = "USER", requires = "rpc_password")]
    pub rpc_user: Option<String>,
    /// The password of --rpc-user. Other users of this machine see command lines: the environment is better, and
    /// --rpc-auth is best.
    #[arg(
        long,
        value_name = "PASSWORD",
        env = "MASS_RPC_PASSWORD",
        hide_env_values = true,
        requires = "rpc_user"
    )]
    pub rpc_password: Option<String>,
    /// A name of this machine beside localhost that clients use; may be given several times. Requests for another name
    /// are refused, for a page in a browser may let its own name point here.
    #[arg(long, value_name = "NAME")]
    pub rpc_host: Vec<String>,
}

/// Names of this machine at the most.
const HOSTS_MAX: usize = 64;
/// Bytes of a name at the most, as the DNS has it.
const HOST_BYTES_MAX: usize = 253;

impl AccessArgs {
    /// Access by the cookie in `dir`, which other programs of the user find, and for those named here.
    ///
    /// # Errors
    /// A user's or a machine's name that cannot be one.
    pub fn access(&self, dir: &Path) -> anyhow::Result<Access> {
        let mut access = Access::in_dir(dir, true);
        access.users.clone_from(&self.rpc_auth);
        if let (Some(name), Some(password)) = (&self.rpc_user, &self.rpc_password) {
            access.users.push(User::new(name, password).context("--rpc-user")?);
        }
        let is_name = |name: &String| {
            let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
            (1..=HOST_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_good)
        };
        if let Some(bad) = self.rpc_host.iter().find(|name| !is_name(name)) {
            bail!("--rpc-host {bad}: expected a name as node.example, without a port");
        }
        if self.rpc_host.len() > HOSTS_MAX {
            bail!("--rpc-host: {} names, of {HOSTS_MAX} at the most", self.rpc_host.len());
        }
        access.hosts.clone_from(&self.rpc_host);
        Ok(access)
    }
}
