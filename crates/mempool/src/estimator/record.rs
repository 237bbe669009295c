//! What outlives the node: the counts in the canonical encoding, with a version. What waits is not among them, for
//! nobody saw how long it waited while the node was away.

use mass_primitives::{Decode, DecodeError, Encode, Reader};

use super::{Estimator, Span};

/// The layout below.
const VERSION: u32 = 1;

impl Encode for Estimator {
    fn encode(&self, out: &mut Vec<u8>) {
        let span = self.longest_span();
        [VERSION, self.best, span.first, span.last].iter().for_each(|number| number.encode(out));
        for horizon in [&self.short, &self.medium, &self.long] {
            let mut horizon = horizon.clone();
            horizon.rates.iter().for_each(|sum| sum.encode(out));
            horizon.tables().flatten().for_each(|count| count.encode(out));
        }
    }
}

impl Decode for Estimator {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if u32::decode(reader)? != VERSION {
            return Err(DecodeError::Invalid("fee estimates of another version"));
        }
        let mut new = Self::new();
        new.best = u32::decode(reader)?;
        new.past = Span { first: u32::decode(reader)?, last: u32::decode(reader)? };
        if new.past.first > new.past.last || new.past.last > new.best {
            return Err(DecodeError::Invalid("fee estimates of blocks that were never seen"));
        }
        for horizon in new.horizons() {
            for sum in &mut horizon.rates {
                *sum = u128::decode(reader)?;
            }
            for count in horizon.tables().flatten() {
                *count = u64::decode(reader)?;
            }
        }
        Ok(new)
    }
}

impl Estimator {
    /// Of this run and the one before, the record that covers more.
    fn longest_span(&self) -> Span {
        let own = if self.first == 0 { Span::default() } else { Span { first: self.first, last: self.best } };
        let length = |span: &Span| span.last.saturating_sub(span.first);
        if length(&own) >= length(&self.past) { own } else { self.past }
    }
}
