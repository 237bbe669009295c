//! The tables of the file. A change to any of them, or to what their bytes mean, raises [`SCHEMA`].
//!
//! | table | key | value |
//! |---|---|---|
//! | `headers` | block id | height, bytes of the sealed header |
//! | `headers_by_height` | height, block id | winning ticket, whether the block was connected once |
//! | `seals` | farmer, slot, block id | nothing |
//! | `evidence` | farmer | bytes of the evidence against it |
//! | `bans` | block id, farmer | nothing: the block has evidence against it |
//! | `bodies` | block id | bytes of the body |
//! | `active` | height | block id on the active chain |
//! | `state` | key of the ledger | value of the ledger |
//! | `undo` | height | undo of the active block at that height |
//! | `indexes` | name of an index | version of its entries, height of the first block that it lacks |
//! | `index/NAME` | key of the ledger | value of the ledger |
//! | `meta` | name | `schema`: u32, `chain`: chain id, `tip`: height and block id, `state sum`: sum over the state (STA-2), `undo from`: height of the lowest undo, below which no block but the genesis block has a body, if some was pruned or there is a base, `base`: height and id of the block whose state the store began with, `kept`: height from which on what bodies and undo take was counted, and how many bytes that are |

use mass_primitives::{BlockId, FarmerPublicKey, Ticket};
use redb::TableDefinition;

/// Version of the tables. A store of an older one is brought up to it when it is opened (`crates/storage/src/schema.rs`), one
/// of a newer one is refused.
pub const SCHEMA: u32 = 4;

pub(crate) type Id = &'static [u8; BlockId::LEN];
type TicketBytes = &'static [u8; Ticket::LEN];
pub(crate) type Farmer = &'static [u8; FarmerPublicKey::LEN];

pub(crate) const HEADERS: TableDefinition<'_, Id, (u32, &[u8])> = TableDefinition::new("headers");
pub(crate) const HEADERS_BY_HEIGHT: TableDefinition<'_, (u32, Id), (TicketBytes, bool)> =
    TableDefinition::new("headers_by_height");
pub(crate) const EVIDENCE: TableDefinition<'_, Farmer, &[u8]> = TableDefinition::new("evidence");
pub(crate) const BANS: TableDefinition<'_, (Id, Farmer), ()> = TableDefinition::new("bans");
pub(crate) const SEALS: TableDefinition<'_, (Farmer, u64, Id), ()> = TableDefinition::new("seals");
pub(crate) const BODIES: TableDefinition<'_, Id, &[u8]> = TableDefinition::new("bodies");
pub(crate) const ACTIVE: TableDefinition<'_, u32, Id> = TableDefinition::new("active");
pub(crate) const STATE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("state");
pub(crate) const UNDO: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("undo");
pub(crate) const INDEXES: TableDefinition<'_, &str, (u32, u32)> = TableDefinition::new("indexes");
pub(crate) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

pub(crate) const META_SCHEMA: &str = "schema";
pub(crate) const META_CHAIN: &str = "chain";
pub(crate) const META_TIP: &str = "tip";
pub(crate) const META_STATE_SUM: &str = "state sum";
pub(crate) const META_BASE: &str = "base";
pub(crate) const META_UNDO_FROM: &str = "undo from";
pub(crate) const META_KEPT: &str = "kept";
