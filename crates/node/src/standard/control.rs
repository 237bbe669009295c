//! The program itself: how long it runs, what it is asked, and its end.

use std::time::Instant;

use mass_rpc::{errors, params::Param};
use serde_json::{Value, json};

use crate::{ledger::NodeLedger, methods::Method};

const NONE: &[Param] = &[];
/// What `stop` takes in Bitcoin Core, for its own tests: it is passed over here.
const STOP: &[Param] = &[Param::optional("wait", mass_rpc::params::Kind::Number)];

pub(super) fn table<L: NodeLedger>() -> Vec<Method<L>> {
    let name = |name| ("Control", name);
    vec![
        Method::new(name("uptime"), NONE, "Seconds since the node was started.", |node, _| {
            Ok(json!(Instant::now().duration_since(node.started()).as_secs()))
        }),
        Method::new(
            name("getrpcinfo"),
            NONE,
            "What the RPC is doing: this one call, for the node answers one after the other. There is no log file.",
            |_, _| {
                Ok(json!({ "active_commands": [{ "method": "getrpcinfo", "duration": 0 }], "logpath": "" }))
            },
        ),
        Method::new(
            ("Mass", "mass_spec"),
            NONE,
            "The chain spec as a text: its rules, of which the chain's id is a hash, and its hints.",
            |node, _| {
                let spec = serde_json::to_string(node.chain().spec().file());
                spec.map(Value::String).map_err(|error| errors::misc(error.to_string()))
            },
        ),
        Method::aside(name("stop"), STOP, "Ends the node.", |queries, _| {
            Box::pin(async move {
                let stop = queries.run(|running| running.stopping = true).await;
                stop.map(|()| json!("MASS node stopping")).ok_or_else(|| errors::misc("the node is stopping"))
            })
        }),
    ]
}
