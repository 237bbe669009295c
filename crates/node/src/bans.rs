//! The RPC of bans, which the network keeps.

use std::net::IpAddr;

use mass_network::{Ban, Banned as Who, Command, PeerId};
use mass_rpc::{Banned, BansServer, RpcResult, async_trait, errors};
use tokio::sync::oneshot;

use crate::{
    ledger::NodeLedger,
    node::{Moment, Node},
    queries::Queries,
};

/// How long a ban by hand lasts without a word of it.
const BAN_SECONDS: u64 = 24 * 3600;

pub(crate) struct BansApi<L: NodeLedger>(pub Queries<L>);

impl<L: NodeLedger> BansApi<L> {
    /// Tells the network something that it answers.
    async fn ask<T: Send + 'static>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command + Send + 'static,
    ) -> RpcResult<T> {
        let tell = |node: &mut Node<L>| {
            let (reply, answer) = oneshot::channel();
            node.send(command(reply));
            Ok(answer)
        };
        let answer = self.0.answer(tell).await?;
        answer.await.map_err(|_| errors::misc("the node is stopping"))
    }

    async fn unban(&self, who: Who) -> RpcResult<bool> {
        self.ask(move |reply| Command::Unban(who, reply)).await
    }
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

#[async_trait]
impl<L: NodeLedger> BansServer for BansApi<L> {
    async fn list_banned(&self) -> RpcResult<Vec<Banned>> {
        Ok(self.ask(Command::Bans).await?.into_iter().map(shown).collect())
    }

    async fn set_ban(
        &self,
        subnet: String,
        command: String,
        bantime: Option<u64>,
        absolute: Option<bool>,
    ) -> RpcResult<()> {
        let (who, now) = (who(&subnet)?, Moment::now().unix);
        match command.as_str() {
            "add" => {
                let seconds = bantime.filter(|seconds| *seconds > 0).unwrap_or(BAN_SECONDS);
                let until = if absolute.unwrap_or(false) { seconds } else { now.saturating_add(seconds) };
                if until <= now {
                    return Err(errors::invalid_parameter("the ban would be over already"));
                }
                let ban = Ban { who, reason: "by hand".to_owned(), since: now, until };
                self.0
                    .answer(move |node| {
                        node.send(Command::Ban(ban));
                        Ok(())
                    })
                    .await
            }
            "remove" if self.unban(who).await? => Ok(()),
            "remove" => Err(errors::not_bannable("there is no such ban")),
            _ => Err(errors::invalid_parameter("command is add or remove")),
        }
    }

    async fn clear_banned(&self) -> RpcResult<()> {
        for ban in self.ask(Command::Bans).await? {
            self.unban(ban.who).await?;
        }
        Ok(())
    }
}
