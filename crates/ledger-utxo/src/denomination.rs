//! Amounts at the display edge: 1 MASS is 10^7 maxwell. Texts are exact; no fraction is ever rounded.
//! Inside the ledger there are only maxwell.

use mass_primitives::Amount;

use crate::params::MONEY_MAX;

/// Maxwell of one MASS.
pub const MAXWELL_PER_MASS: u64 = 10_000_000;
/// Decimals of an amount in MASS.
const DECIMALS: usize = 7;

/// Why a text is no amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DenominationError {
    /// The text is no decimal number.
    #[error("{0:?} is no amount: an amount is a number of MASS such as 12 or 0.5")]
    Malformed(String),
    /// The text has a fraction that no coin can hold.
    #[error("{0:?} has more than 7 decimals: the smallest amount is 0.0000001 MASS")]
    TooFine(String),
    /// The amount exceeds all the money there can be.
    #[error("{0:?} is more MASS than there can ever be")]
    TooMuch(String),
}

/// Reads an amount in MASS, such as `12` or `0.5`.
///
/// # Errors
/// [`DenominationError`].
pub fn parse_mass(text: &str) -> Result<Amount, DenominationError> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) {
        return Err(DenominationError::Malformed(text.to_owned()));
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > DECIMALS {
        return Err(DenominationError::TooFine(text.to_owned()));
    }
    let maxwell = format!("{whole}{fraction:0<DECIMALS$}").parse().ok().map(Amount::new);
    maxwell.filter(|amount| *amount <= MONEY_MAX).ok_or_else(|| DenominationError::TooMuch(text.to_owned()))
}

/// Writes an amount in MASS, exactly and without trailing zeros.
#[must_use]
pub fn format_mass(amount: Amount) -> String {
    // The divisor is a constant other than zero.
    let whole = amount.get().checked_div(MAXWELL_PER_MASS).unwrap_or(0);
    let rest = amount.get().checked_rem(MAXWELL_PER_MASS).unwrap_or(0);
    let fraction = format!("{rest:0DECIMALS$}");
    match fraction.trim_end_matches('0') {
        "" => whole.to_string(),
        fraction => format!("{whole}.{fraction}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_are_read_and_written_exactly() {
        let cases = [
            ("0", 0),
            ("1", 10_000_000),
            ("0.0000001", 1),
            ("0.5", 5_000_000),
            ("1024.0000003", 10_240_000_003),
            ("210000000", MONEY_MAX.get()),
        ];
        for (text, maxwell) in cases {
            assert_eq!(parse_mass(text), Ok(Amount::new(maxwell)));
            assert_eq!(format_mass(Amount::new(maxwell)), text);
        }
        assert_eq!(parse_mass("007.50"), Ok(Amount::new(75_000_000)));
        assert_eq!(parse_mass("1.00000000000"), Ok(Amount::new(10_000_000)));
    }

    #[test]
    fn other_texts_are_refused() {
        let texts =
            ["", ".", "1.", ".5", "-1", "+1", "1e3", "1,5", "0x1", " 1", "1 MASS", "1.2.3", "1_0", "٣"];
        for text in texts {
            assert_eq!(parse_mass(text), Err(DenominationError::Malformed(text.to_owned())));
        }
        assert!(matches!(parse_mass("0.00000001"), Err(DenominationError::TooFine(_))));
        for text in ["210000000.0000001", "18446744073709551616", &"9".repeat(100)] {
            assert!(matches!(parse_mass(text), Err(DenominationError::TooMuch(_))), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_amount_round_trips(maxwell in 0..=MONEY_MAX.get()) {
            let amount = Amount::new(maxwell);
            prop_assert_eq!(parse_mass(&format_mass(amount)), Ok(amount));
        }
    }
}
