//! Who is kept out, by hand or for what it did, with Bitcoin Core's names and shapes.

use jsonrpsee::proc_macros::rpc;
use serde::{Deserialize, Serialize};

/// A ban, as `listbanned` has it; times are unix seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Banned {
    /// An IP address or a peer's id.
    pub address: String,
    /// When it was set.
    pub ban_created: u64,
    /// When it ends.
    pub banned_until: u64,
    /// How long it lasts in all, in seconds.
    pub ban_duration: u64,
    /// How long it lasts yet, in seconds.
    pub time_remaining: u64,
    /// Why; Bitcoin Core has no such field any more.
    pub ban_reason: String,
}

/// What programs call of the methods of bans; the node's table of methods answers them.
#[rpc(client)]
pub trait Bans {
    /// The bans that hold.
    #[method(name = "listbanned")]
    async fn list_banned(&self) -> RpcResult<Vec<Banned>>;

    /// Keeps somebody out, or ends that: `subnet` is one IP address or a peer's id, `command` is `add` or `remove`.
    /// `bantime` is in seconds, a day without; with `absolute` it is the unix time at which the ban ends.
    #[method(name = "setban")]
    async fn set_ban(
        &self,
        subnet: String,
        command: String,
        bantime: Option<u64>,
        absolute: Option<bool>,
    ) -> RpcResult<()>;

    /// Ends all bans.
    #[method(name = "clearbanned")]
    async fn clear_banned(&self) -> RpcResult<()>;
}
