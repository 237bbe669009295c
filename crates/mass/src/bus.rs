//! The command line of a cluster's message bus.

use std::path::PathBuf;

use clap::Args;
use mass_farmer::bus::BusConfig;

/// Which bus, and which cluster on it.
#[derive(Args)]
pub struct BusArgs {
    /// The NATS server of a cluster, with JetStream: nats://HOST:4222, or tls://; several, parted by commas. Whoever may
    /// connect there is a part of the cluster.
    #[arg(long = "bus", value_name = "URL")]
    url: Option<String>,
    /// The cluster's name, where several share a bus.
    #[arg(long, value_name = "NAME", default_value = "farm", requires = "url")]
    cluster: String,
    /// A file of NATS credentials.
    #[arg(long, value_name = "FILE", requires = "url")]
    bus_credentials: Option<PathBuf>,
    /// On how many servers of the bus jobs, claims and signed slots are kept: 1, 3 or 5. It counts when the first part of
    /// a cluster comes to the bus.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "url")]
    bus_replicas: u8,
}

impl BusArgs {
    /// The bus, if one was named.
    pub fn config(&self) -> Option<BusConfig> {
        let (credentials, cluster) = (self.bus_credentials.clone(), self.cluster.clone());
        let replicas = usize::from(self.bus_replicas);
        self.url.clone().map(|url| BusConfig { url, credentials, cluster, replicas })
    }
}
