//! Compact filters of blocks (BIP-158, basic): what a light wallet looks its scripts up in.
//!
//! A filter has the scripts of all outputs that can be spent and of all coins that the block spends. The genesis
//! block's coins come from nowhere, so nothing is spent by it.

use bitcoin::{
    BlockHash, Script, Transaction,
    bip158::{BlockFilter, GcsFilterWriter},
    hashes::Hash as _,
};

/// Parameters of the basic filter: one false match in so many, and the bits of a Golomb-Rice remainder.
const MISSES: u64 = 784_931;
const REMAINDER_BITS: u8 = 19;

/// The filter of a block: of its transactions, and of the scripts of the coins that these spend, in any order.
#[must_use]
pub fn basic_filter<'a>(
    id: &BlockHash,
    transactions: impl IntoIterator<Item = &'a Transaction>,
    spent: impl IntoIterator<Item = &'a Script>,
) -> BlockFilter {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, ..] = id.to_byte_array();
    let (k0, k1) =
        (u64::from_le_bytes([a, b, c, d, e, f, g, h]), u64::from_le_bytes([i, j, k, l, m, n, o, p]));
    let mut content = Vec::new();
    let mut writer = GcsFilterWriter::new(&mut content, k0, k1, MISSES, REMAINDER_BITS);
    for output in transactions.into_iter().flat_map(|tx| &tx.output) {
        if !output.script_pubkey.is_op_return() && !output.script_pubkey.is_empty() {
            writer.add_element(output.script_pubkey.as_bytes());
        }
    }
    for script in spent.into_iter().filter(|script| !script.is_empty()) {
        writer.add_element(script.as_bytes());
    }
    // A vector takes all that is written into it.
    let _ = writer.finish();
    BlockFilter { content }
}

#[cfg(test)]
mod tests {
    use bitcoin::{Block, FilterHeader, consensus::deserialize, hex::FromHex as _};

    use super::*;

    /// Block 0 of Bitcoin's test network 3, first of BIP-158's vectors.
    #[test]
    fn the_first_vector_of_the_bip_is_met() {
        let bytes = Vec::from_hex("0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4adae5494dffff001d1aa4ae180101000000010000000000000000000000000000000000000000000000000000000000000000ffffffff4d04ffff001d0104455468652054696d65732030332f4a616e2f32303039204368616e63656c6c6f72206f6e206272696e6b206f66207365636f6e64206261696c6f757420666f722062616e6b73ffffffff0100f2052a01000000434104678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5fac00000000").unwrap();
        let block: Block = deserialize(&bytes).unwrap();
        let filter = basic_filter(&block.block_hash(), &block.txdata, []);
        assert_eq!(filter.content, Vec::from_hex("019dfca8").unwrap());
        let previous: FilterHeader = "00".repeat(32).parse().unwrap();
        let header = filter.filter_header(&previous).to_string();
        assert_eq!(header, "21584579b7eb08997773e5aeff3a7f932700042d0ed2a6129012b7d7ae81b750");
        let hash = block.block_hash();
        let script = block.txdata[0].output[0].script_pubkey.as_bytes();
        assert!(filter.match_any(&hash, [script].into_iter()).unwrap());
        assert!(!filter.match_any(&hash, [b"other".as_slice()].into_iter()).unwrap());
    }
}
