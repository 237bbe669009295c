//! The table of methods that are named as in Bitcoin Core: for each its parameters, what `help` says, and the function
//! that answers. Those of any chain are in [`standard`](crate::standard); a ledger adds its own, or puts a better one in
//! the place of one of the same name.

use std::{collections::BTreeMap, pin::Pin, sync::Arc};

use mass_rpc::{
    Methods, RegisterMethodError, RpcModule, RpcResult, decimals, errors,
    params::{Args, Kind, Param, usage},
};
use serde_json::Value;

use crate::{ledger::NodeLedger, node::Node, queries::Queries};

/// The future of an answer.
pub type Answering = Pin<Box<dyn Future<Output = RpcResult<Value>> + Send>>;

/// Who answers a method.
pub enum Answer<L: NodeLedger> {
    /// The node, between two events.
    Node(fn(&mut Node<L>, &Args) -> RpcResult<Value>),
    /// A task beside the node's loop, which asks the node what it needs.
    Aside(fn(Queries<L>, Args) -> Answering),
    /// The same, by something that knows more than the node.
    Shared(Arc<dyn Fn(Queries<L>, Args) -> Answering + Send + Sync>),
}

impl<L: NodeLedger> Clone for Answer<L> {
    fn clone(&self) -> Self {
        match self {
            Self::Node(answer) => Self::Node(*answer),
            Self::Aside(answer) => Self::Aside(*answer),
            Self::Shared(answer) => Self::Shared(Arc::clone(answer)),
        }
    }
}

/// A method of the table.
pub struct Method<L: NodeLedger> {
    /// Its name.
    pub name: &'static str,
    /// Under which heading `help` lists it.
    pub group: &'static str,
    /// What it takes.
    pub params: &'static [Param],
    /// What it does.
    pub about: &'static str,
    /// Who answers.
    pub answer: Answer<L>,
}

impl<L: NodeLedger> Method<L> {
    /// A method that the node answers.
    pub const fn new(
        (group, name): (&'static str, &'static str),
        params: &'static [Param],
        about: &'static str,
        answer: fn(&mut Node<L>, &Args) -> RpcResult<Value>,
    ) -> Self {
        Self { name, group, params, about, answer: Answer::Node(answer) }
    }

    /// A method that is answered beside the node's loop.
    pub const fn aside(
        (group, name): (&'static str, &'static str),
        params: &'static [Param],
        about: &'static str,
        answer: fn(Queries<L>, Args) -> Answering,
    ) -> Self {
        Self { name, group, params, about, answer: Answer::Aside(answer) }
    }
}

/// Puts `better` methods in the place of those of the same name, and the others beside them.
pub(crate) fn overlaid<L: NodeLedger>(mut methods: Vec<Method<L>>, better: Vec<Method<L>>) -> Vec<Method<L>> {
    methods.retain(|method| !better.iter().any(|other| other.name == method.name));
    methods.extend(better);
    methods
}

/// The methods of the table as the server wants them, and `help`, which knows also the `others` by their heading.
pub(crate) fn serve_table<L: NodeLedger>(
    queries: &Queries<L>,
    table: &[Method<L>],
    others: &[(&'static str, &Methods)],
) -> Result<Methods, RegisterMethodError> {
    let mut module = RpcModule::new(queries.clone());
    for method in table {
        let (name, params, answer) = (method.name, method.params, method.answer.clone());
        module.register_async_method(name, move |given, queries, _| {
            let answer = answer.clone();
            async move {
                let args = Args::read(name, params, given.as_str())?;
                let answer = match answer {
                    Answer::Node(answer) => queries.answer(move |node| answer(node, &args)).await,
                    Answer::Aside(answer) => answer((*queries).clone(), args).await,
                    Answer::Shared(answer) => answer((*queries).clone(), args).await,
                };
                answer.map(|value| decimals::raw(&value))
            }
        })?;
    }
    let help = Arc::new(Help::new(table, others));
    const HELP: &[Param] = &[Param::optional("command", Kind::Text)];
    module.register_method("help", move |given, _, _| {
        let args = Args::read("help", HELP, given.as_str())?;
        RpcResult::Ok(help.text(args.optional_text(0)))
    })?;
    Ok(module.into())
}

/// What `help` says.
struct Help {
    /// The lines of each heading.
    groups: BTreeMap<&'static str, Vec<String>>,
    /// The text of each method.
    methods: BTreeMap<&'static str, String>,
}

impl Help {
    fn new<L: NodeLedger>(table: &[Method<L>], others: &[(&'static str, &Methods)]) -> Self {
        let (mut groups, mut methods) = (BTreeMap::<_, Vec<String>>::new(), BTreeMap::new());
        for method in table {
            let line = usage(method.name, method.params);
            methods.insert(method.name, format!("{line}\n\n{}", method.about));
            groups.entry(method.group).or_default().push(line);
        }
        groups.entry("Control").or_default().push("help ( \"command\" )".to_owned());
        methods.insert("help", "help ( \"command\" )\n\nLists all methods, or tells of one.".to_owned());
        let others =
            others.iter().flat_map(|(group, methods)| methods.method_names().map(|name| (*group, name)));
        for (group, name) in others {
            groups.entry(group).or_default().push(name.to_owned());
            methods.entry(name).or_insert_with(|| format!("{name}\n\nSee the documentation of MASS."));
        }
        groups.values_mut().for_each(|lines| lines.sort());
        Self { groups, methods }
    }

    fn text(&self, command: Option<&str>) -> String {
        match command {
            None => {
                let group =
                    |(name, lines): (&&str, &Vec<String>)| format!("== {name} ==\n{}\n", lines.join("\n"));
                self.groups.iter().map(group).collect::<Vec<_>>().join("\n").trim_end().to_owned()
            }
            Some(name) => match self.methods.get(name) {
                Some(text) => text.clone(),
                None => format!("help: unknown command: {}", name.chars().take(100).collect::<String>()),
            },
        }
    }
}

/// Runs what takes long outside of the node's loop and of the threads that serve others.
pub(crate) async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> RpcResult<T> + Send + 'static,
) -> RpcResult<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(errors::misc("the work was cut short: the node is stopping")))
}
