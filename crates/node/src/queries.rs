//! Questions to a running node: each is a closure that its loop runs between two events.

use mass_consensus::ledger::StateRead as _;
use mass_rpc::{Methods, RpcModule, RpcResult, errors};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use crate::{
    api::fault,
    ledger::NodeLedger,
    node::{Moment, Node},
    run::Running,
};

/// Something to do with what the loop owns between two events.
pub(crate) type Query<L> = Box<dyn FnOnce(&mut Running<L>) + Send>;

/// Where a node takes questions.
pub struct Queries<L: NodeLedger>(mpsc::Sender<Query<L>>);

impl<L: NodeLedger> Clone for Queries<L> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<L: NodeLedger> Queries<L> {
    /// Room for `count` questions that wait.
    pub(crate) fn channel(count: usize) -> (Self, mpsc::Receiver<Query<L>>) {
        let (queries, inbox) = mpsc::channel(count);
        (Self(queries), inbox)
    }

    /// Ready when the node has stopped.
    pub(crate) async fn closed(&self) {
        self.0.closed().await;
    }

    /// Runs `query` on what the loop owns; `None` if the node has stopped.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        query: impl FnOnce(&mut Running<L>) -> T + Send + 'static,
    ) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        let query: Query<L> = Box::new(move |running| drop(reply.send(query(running))));
        self.0.send(query).await.ok()?;
        answer.await.ok()
    }

    /// Runs `query` on the node; `None` if the node has stopped.
    pub async fn ask<T: Send + 'static>(
        &self,
        query: impl FnOnce(&mut Node<L>) -> T + Send + 'static,
    ) -> Option<T> {
        self.run(|running| query(&mut running.node)).await
    }

    /// The answer of `query` as RPC gives it.
    ///
    /// # Errors
    /// The refusal of `query`, or that the node is stopping.
    pub async fn answer<T: Send + 'static>(
        &self,
        query: impl FnOnce(&mut Node<L>) -> RpcResult<T> + Send + 'static,
    ) -> RpcResult<T> {
        self.ask(query).await.unwrap_or_else(|| Err(errors::misc("the node is stopping")))
    }
}

/// What RPC asks of a node, now.
impl<L: NodeLedger> Node<L> {
    /// Takes a user's transaction into the pool and tells peers; its id as people write it.
    ///
    /// # Errors
    /// Why the pool does not take it.
    pub fn offer(&mut self, bytes: Vec<u8>) -> RpcResult<String> {
        let id = self.pay(bytes, Moment::now()).map_err(fault)?;
        Ok(L::write_id(&id))
    }

    /// The value at `key` in the ledger's state after the tip.
    ///
    /// # Errors
    /// The disk fails.
    pub fn read(&self, key: &[u8]) -> RpcResult<Option<Vec<u8>>> {
        let state = self.chain().store().snapshot().map_err(fault)?;
        state.get(key).map_err(fault)
    }
}

/// RPC methods of a ledger, from plain functions of the node and the parameters in their order.
pub struct LedgerRpc<L: NodeLedger>(RpcModule<Queries<L>>);

impl<L: NodeLedger> LedgerRpc<L> {
    /// No methods yet.
    #[must_use]
    pub fn new(queries: &Queries<L>) -> Self {
        Self(RpcModule::new(queries.clone()))
    }

    /// Adds a method.
    ///
    /// # Panics
    /// The name was given before.
    #[must_use]
    pub fn method(
        mut self,
        name: &'static str,
        answer: fn(&mut Node<L>, &[Value]) -> RpcResult<Value>,
    ) -> Self {
        let added = self.0.register_async_method(name, move |params, queries, _| async move {
            let params: Vec<Value> = params.parse()?;
            queries.answer(move |node| answer(node, &params)).await
        });
        added.expect("the ledger names each of its methods once");
        self
    }

    /// The methods.
    #[must_use]
    pub fn into_methods(self) -> Methods {
        self.0.into()
    }
}

/// Parameter `position` of a method, which has to be a text.
///
/// # Errors
/// It is missing or something else.
pub fn text_param(params: &[Value], position: usize) -> RpcResult<&str> {
    let text = params.get(position).and_then(Value::as_str);
    text.ok_or_else(|| errors::invalid_parameter(format!("parameter {position} is to be a text")))
}
