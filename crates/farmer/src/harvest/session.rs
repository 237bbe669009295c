//! Farmer and harvesters over a cluster's bus, instead of a connection of their own. The messages are the same.
//!
//! A harvester says hello at `hello.SESSION`, once a second until somebody answers; then the two speak at
//! `to-farmer.SESSION` and `to-harvester.SESSION`. A farmer that has become the active one calls at `call`, and all
//! harvesters begin anew. A session ends when the bus is gone: what was under way may be lost.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_nats::Subscriber;
use futures::StreamExt as _;
use mass_primitives::FarmerPublicKey;
use tokio::sync::{mpsc, watch};

use super::{
    HarvestError,
    link::{self, Landed, News},
    message::MESSAGE_BYTES_MAX,
    secure::{Ends, Pipe},
    store::check_name,
};
use crate::bus::{Bus, BusError, random_name, refused};

/// How often a harvester that nobody has answered says hello.
const HELLO_EVERY: Duration = Duration::from_secs(1);
async fn subscribe(bus: &Bus, rest: &str) -> Result<Subscriber, BusError> {
    bus.client.subscribe(bus.subject(rest)).await.map_err(refused)
}

/// Whether the connection is another than at `since`.
async fn has_changed(changes: &mut watch::Receiver<u64>, since: u64) {
    // An error: the client is gone, and with it the connection.
    let _ = changes.wait_for(|now| *now != since).await;
}

/// A harvester's way to whichever farmer is the active one.
pub(super) async fn join(bus: &Bus) -> Result<Pipe, HarvestError> {
    let session = random_name();
    let incoming = subscribe(bus, &format!("to-harvester.{session}")).await?;
    let call = subscribe(bus, "call").await?;
    let (pipe, ends) = Pipe::new();
    tokio::spawn(harvester_pump(bus.clone(), session, incoming, call, ends));
    Ok(pipe)
}

async fn harvester_pump(
    bus: Bus,
    session: String,
    mut incoming: Subscriber,
    mut call: Subscriber,
    (mut outbox, inbox): Ends,
) {
    let (mut changes, hello) = (bus.changes(), bus.subject(&format!("hello.{session}")));
    let since = *changes.borrow();
    let Some(first) = outbox.recv().await else { return };
    let mut clock = tokio::time::interval(HELLO_EVERY);
    let answer = loop {
        tokio::select! {
            _ = clock.tick() => drop(bus.client.publish(hello.clone(), first.clone().into()).await),
            Some(_) = call.next() => clock.reset_immediately(),
            answer = incoming.next() => break answer,
            () = inbox.closed() => return,
        }
    };
    let Some(answer) = answer else { return };
    if inbox.send(answer.payload.to_vec()).await.is_err() {
        return;
    }
    let subject = bus.subject(&format!("to-farmer.{session}"));
    tokio::select! {
        () = pump(&bus, subject, incoming, (outbox, inbox)) => {}
        () = has_changed(&mut changes, since) => {}
        _ = call.next() => {}
    }
}

/// Moves messages until ours is dropped.
async fn pump(bus: &Bus, subject: String, mut incoming: Subscriber, (mut outbox, inbox): Ends) {
    loop {
        tokio::select! {
            out = outbox.recv() => match out {
                Some(out) => drop(bus.client.publish(subject.clone(), out.into()).await),
                None => return,
            },
            message = incoming.next() => match message {
                Some(message) if message.payload.len() <= MESSAGE_BYTES_MAX => {
                    // Nobody listens any more; what he said last is still sent.
                    let _ = inbox.send(message.payload.to_vec()).await;
                }
                _ => return,
            },
        }
    }
}

/// Sessions that are served.
type Sessions = Arc<Mutex<BTreeSet<String>>>;

/// Serves harvesters that say hello, until nobody wants to hear of it.
pub(crate) async fn gather<R: Send + 'static>(
    bus: Bus,
    farmer: FarmerPublicKey,
    reports: mpsc::UnboundedSender<R>,
    report: fn(Landed) -> R,
) -> Result<(), BusError> {
    let hellos = subscribe(&bus, "hello.*").await?;
    let closed = reports.clone();
    let tell = move |landed| drop(reports.send(report(landed)));
    tokio::spawn(async move {
        tokio::select! {
            () = take_in(bus, hellos, farmer, tell) => {}
            () = closed.closed() => {}
        }
    });
    Ok(())
}

async fn take_in(
    bus: Bus,
    mut hellos: Subscriber,
    farmer: FarmerPublicKey,
    tell: impl Fn(Landed) + Clone + Send + Sync + 'static,
) {
    let (sessions, mut connection) = (Sessions::default(), 0);
    let mut changes = bus.changes();
    loop {
        // Whenever the bus is there anew: what harvesters were told before may be lost.
        if *changes.borrow_and_update() % 2 == 1 {
            let _ = bus.client.publish(bus.subject("call"), Vec::new().into()).await;
        }
        loop {
            let hello = tokio::select! {
                hello = hellos.next() => hello,
                changed = changes.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return,
                },
            };
            let Some(hello) = hello else { return };
            let session = hello.subject.rsplit('.').next().unwrap_or_default().to_owned();
            let is_new = lock(&sessions).insert(session.clone());
            if is_new && hello.payload.len() <= MESSAGE_BYTES_MAX {
                connection += 1;
                let (bus, sessions, tell) = (bus.clone(), Arc::clone(&sessions), tell.clone());
                tokio::spawn(async move {
                    let served = serve(bus, &session, hello.payload.to_vec(), farmer, connection, tell);
                    let _ = served.await;
                    lock(&sessions).remove(&session);
                });
            }
        }
    }
}

fn lock(sessions: &Sessions) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
    // A set is whole after each insertion and removal.
    sessions.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(
    bus: Bus,
    session: &str,
    hello: Vec<u8>,
    farmer: FarmerPublicKey,
    connection: u64,
    tell: impl Fn(Landed),
) -> Result<(), BusError> {
    let incoming = subscribe(&bus, &format!("to-farmer.{session}")).await?;
    let (mut pipe, ends) = Pipe::new();
    let (subject, mut changes) = (bus.subject(&format!("to-harvester.{session}")), bus.changes());
    let since = *changes.borrow();
    tokio::spawn(async move {
        tokio::select! {
            () = pump(&bus, subject, incoming, ends) => {}
            () = has_changed(&mut changes, since) => {}
        }
    });
    let hello = link::parse(&hello).and_then(link::as_hello);
    let hello = hello.and_then(|hello| match check_name(&hello.name) {
        Ok(()) => Ok(hello),
        Err(error) => Err(error.to_string()),
    });
    let Ok(hello) = hello else { return Ok(()) };
    let name = hello.name.clone();
    let report = |news| tell(Landed { connection, name: name.clone(), news });
    let reason = link::serve_after(&mut pipe, hello, name.clone(), farmer, &report).await;
    report(News::Left(reason));
    Ok(())
}
