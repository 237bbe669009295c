//! Who makes blocks on demand. A node does not farm, and does not know who can: the program that runs it hands in a
//! [`Generator`], on chains that are for development.

use std::{
    fmt,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, OnceLock},
};

use mass_primitives::BlockId;
use mass_rpc::{
    RpcResult, errors,
    params::{Kind, Param},
};
use serde_json::json;

use crate::{
    ledger::NodeLedger,
    methods::{Answer, Method},
};

const PARAMS: &[Param] = &[
    Param::new("nblocks", Kind::Number),
    Param::new("address", Kind::Text),
    Param::optional("maxtries", Kind::Number),
];
/// Blocks of one call at the most.
const BLOCKS_MAX: u32 = 1000;

/// Blocks that are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generate {
    /// How many.
    pub blocks: u32,
    /// Whom they pay.
    pub address: String,
    /// Where the node answers RPC.
    pub node: SocketAddr,
}

/// The blocks to come.
pub type Generating = Pin<Box<dyn Future<Output = RpcResult<Vec<BlockId>>> + Send>>;

/// Makes blocks on demand.
#[derive(Clone)]
pub struct Generator(Arc<dyn Fn(Generate) -> Generating + Send + Sync>);

impl Generator {
    /// Has them made by `make`.
    pub fn new(make: impl Fn(Generate) -> Generating + Send + Sync + 'static) -> Self {
        Self(Arc::new(make))
    }

    /// The method that calls it, once it is known where the node answers.
    pub(crate) fn method<L: NodeLedger>(self, node: Arc<OnceLock<SocketAddr>>) -> Method<L> {
        let answer = move |_, args: mass_rpc::params::Args| {
            let (make, node) = (Arc::clone(&self.0), Arc::clone(&node));
            let answering: crate::Answering = Box::pin(async move {
                let blocks = args.number(0).and_then(|count| u32::try_from(count).ok());
                let blocks = blocks.filter(|count| *count <= BLOCKS_MAX);
                let bound = || errors::invalid_parameter(format!("nblocks is 0 to {BLOCKS_MAX}"));
                let blocks = blocks.ok_or_else(bound)?;
                let node = *node.get().ok_or_else(|| errors::warming_up("the node is starting"))?;
                let made = make(Generate { blocks, address: args.text(1).to_owned(), node }).await?;
                Ok(json!(made))
            });
            answering
        };
        Method {
            name: "generatetoaddress",
            group: "Generating",
            params: PARAMS,
            about: "Farms blocks that pay an address, and returns their ids. The proofs are real, of plots of the node's own, \
                    and time is the chain's: each block takes some seconds. The reward comes as late as any. maxtries is \
                    passed over.",
            answer: Answer::Shared(Arc::new(answer)),
        }
    }
}

impl fmt::Debug for Generator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Generator")
    }
}
