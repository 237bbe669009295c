//! Peers, gossip and headers-first sync.
