//! Requests at a steady rate, whether or not those before are answered, and how late the answers come.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use mass_primitives::Height;
use mass_rpc::{BitcoinClient as _, HttpClient, call};
use serde_json::{Value, json};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep_until},
};

/// Requests in a second.
const RATE: u32 = 1_000;

/// Connections at one time at the most: fewer than the server has for all.
const CONNECTIONS: usize = 32;

/// Of each method its name, and the milliseconds within which half, and 99 of 100, of the answers came.
pub async fn run(client: &HttpClient, height: u32, requests: u32) -> Vec<(&'static str, f64, f64)> {
    let mut ids = Vec::new();
    for place in 0..16 {
        let height = Height::new(1 + place * height.saturating_sub(1) / 16);
        ids.push(json!(client.get_block_hash(height).await.expect("a block of the chain")));
    }
    let block = |number: u32| vec![ids[number as usize % ids.len()].clone()];
    let getblock = load(client, "getblock", requests, block).await;
    let netspace = load(client, "mass_netspace", requests, |_| Vec::new()).await;
    vec![getblock, netspace]
}

async fn load(
    client: &HttpClient,
    method: &'static str,
    requests: u32,
    params: impl Fn(u32) -> Vec<Value>,
) -> (&'static str, f64, f64) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    let begun = Instant::now() + Duration::from_millis(50);
    let asks = (0..requests).map(|number| {
        let (client, params, connections) = (client.clone(), params(number), Arc::clone(&connections));
        let due = begun + Duration::from_secs(1) * number / RATE;
        tokio::spawn(async move {
            sleep_until(due).await;
            let _one = connections.acquire().await.expect("it is never closed");
            call(&client, method, params).await.expect("an answer");
            // From when it was due: who waits for the one before waits as well.
            due.elapsed()
        })
    });
    let answers = join_all(asks.collect::<Vec<_>>()).await;
    let mut times: Vec<Duration> =
        answers.into_iter().map(|time| time.expect("it is not cut short")).collect();
    times.sort_unstable();
    let within =
        |share: usize| times[(times.len() * share / 100).min(times.len() - 1)].as_secs_f64() * 1_000.0;
    (method, within(50), within(99))
}
