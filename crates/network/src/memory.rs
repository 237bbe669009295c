//! The network inside one process: the same commands and events without sockets. A [`Hub`] is the
//! world in which nodes find each other under `/memory/<number>` addresses.
//!
//! Delivery is at once and in order. Lost messages, delays and partitions are made by whoever stands
//! between the channels; only configured peers are dialed again, at a fixed interval of tokio time.
//! Deliberately absent: scoring of peers, and gossip of old messages to new peers.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};

use crate::{
    config::{COMMANDS_LEN, Config, EVENTS_LEN},
    handle::{Command, Event, Network},
    outbox::Outbox,
};

mod world;

use world::{NodeNumber, World};

const REDIAL_INTERVAL: Duration = Duration::from_millis(500);

/// A world of nodes in this process.
#[derive(Clone, Default)]
pub struct Hub(Arc<Mutex<World>>);

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}

impl Hub {
    /// An empty world.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a node. Its first event is the address that it got; `listen` is not looked at. Call it
    /// within a tokio runtime.
    #[must_use]
    pub fn join(&self, config: Config) -> Network {
        let (command_sender, commands) = mpsc::channel(COMMANDS_LEN);
        let (events, event_receiver) = mpsc::channel(EVENTS_LEN);
        let (inbox_sender, inbox) = mpsc::unbounded_channel();
        let number = self.world().join(config, inbox_sender);
        let node = Node { hub: self.clone(), number, commands, inbox, outbox: Outbox::new(events) };
        tokio::spawn(node.run());
        (command_sender, event_receiver)
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Node {
    hub: Hub,
    number: NodeNumber,
    commands: mpsc::Receiver<Command>,
    inbox: mpsc::UnboundedReceiver<Event>,
    outbox: Outbox,
}

impl Node {
    async fn run(mut self) {
        let mut redial = interval(REDIAL_INTERVAL);
        redial.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                command = self.commands.recv() => match command {
                    None | Some(Command::Stop) => return,
                    Some(command) => self.hub.world().command(self.number, command),
                },
                Some(event) = self.inbox.recv() => self.outbox.push(event),
                sent = self.outbox.flush() => if sent.is_err() {
                    return;
                },
                _ = redial.tick() => self.hub.world().redial(self.number),
            }
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.hub.world().leave(self.number);
    }
}
