//! Who is kept out, by hand or for what it did. The network keeps the bans.

use std::net::IpAddr;

use mass_network::{Ban, Banned as Who, Command, PeerId};
use mass_rpc::{
    Banned, RpcResult, errors,
    params::{Args, Kind, Param},
};
use serde_json::{Value, json};

use super::network::ask;
use crate::{
    ledger::NodeLedger,
    methods::{Answering, Method},
    node::Moment,
    queries::Queries,
};

const NONE: &[Param] = &[];
const SET: &[Param] = &[
    Param::new("subnet", Kind::Text),
    Param::new("command", Kind::Text),
    Param::optional("bantime", Kind::Number),
    Param::optional("absolute", Kind::Bool),
];

/// How long a ban by hand lasts without a word of it.
const BAN_SECONDS: u64 = 24 * 3600;

pub(super) fn table<L: NodeLedger>() -> Vec<Method<L>> {
    let name = |name| ("Network", name);
    vec![
        Method::aside(name("listbanned"), NONE, "The bans that hold, each with its reason.", |queries, _| {
            Box::pin(
                async move { Ok(json!(bans(&queries).await?.into_iter().map(shown).collect::<Vec<_>>())) },
            )
        }),
        Method::aside(
            name("setban"),
            SET,
            "Keeps somebody out (add), or ends that (remove): one IP address, or a peer by its id. bantime is in seconds, \
             a day without; with absolute it is the unix time at which the ban ends.",
            set,
        ),
        Method::aside(name("clearbanned"), NONE, "Ends all bans.", |queries, _| {
            Box::pin(async move {
                for ban in bans(&queries).await? {
                    unban(&queries, ban.who).await?;
                }
                Ok(Value::Null)
            })
        }),
    ]
}

async fn bans<L: NodeLedger>(queries: &Queries<L>) -> RpcResult<Vec<Ban>> {
    ask(queries, Command::Bans).await
}

async fn unban<L: NodeLedger>(queries: &Queries<L>, who: Who) -> RpcResult<bool> {
    ask(queries, move |reply| Command::Unban(who, reply)).await
}

fn who(text: &str) -> RpcResult<Who> {
    let single = text.strip_suffix("/32").or_else(|| text.strip_suffix("/128")).unwrap_or(text);
    let address = single.parse().map(|ip: IpAddr| Who::Address(ip.to_canonical()));
    let peer = || text.parse::<PeerId>().map(Who::Peer);
    address
        .or_else(|_| peer())
        .map_err(|_| errors::not_bannable(format!("\"{text}\" is neither an IP address nor a peer's id")))
}

fn shown(ban: Ban) -> Banned {
    let address = match ban.who {
        Who::Address(ip) => ip.to_string(),
        Who::Peer(peer) => peer.to_string(),
    };
    Banned {
        address,
        ban_created: ban.since,
        banned_until: ban.until,
        ban_duration: ban.until.saturating_sub(ban.since),
        time_remaining: ban.until.saturating_sub(Moment::now().unix),
        ban_reason: ban.reason,
    }
}

fn set<L: NodeLedger>(queries: Queries<L>, args: Args) -> Answering {
    Box::pin(async move {
        let who = who(args.text(0))?;
        match args.text(1) {
            "add" => {
                let ban = ban(who, args.number(2), args.is(3, false), Moment::now().unix)?;
                let told = queries.ask(move |node| node.send(Command::Ban(ban))).await;
                told.ok_or_else(|| errors::misc("the node is stopping"))?;
            }
            "remove" if unban(&queries, who).await? => {}
            "remove" => return Err(errors::not_bannable("there is no such ban")),
            _ => return Err(errors::invalid_parameter("command is add or remove")),
        }
        Ok(Value::Null)
    })
}

fn ban(who: Who, time: Option<i64>, absolute: bool, now: u64) -> RpcResult<Ban> {
    let seconds = time.map_or(Ok(0), u64::try_from);
    let seconds = seconds.map_err(|_| errors::invalid_parameter("bantime is a number of seconds"))?;
    let seconds = if seconds == 0 { BAN_SECONDS } else { seconds };
    let until = if absolute { seconds } else { now.saturating_add(seconds) };
    if until <= now {
        return Err(errors::invalid_parameter("the ban would be over already"));
    }
    Ok(Ban { who, reason: "by hand".to_owned(), since: now, until })
}
