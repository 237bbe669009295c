//! A wallet's history for spreadsheets, without anything of other currencies: amounts in MASS, exact to the maxwell.

use mass_ledger_utxo::format_mass;
use mass_primitives::Amount;

use crate::{history::Entry, wallet::Wallet};

const HEAD: &str = "time,height,kind,amount_mass,fee_mass,balance_mass,txid,label";

impl Wallet {
    /// All transactions as CSV (RFC 4180), oldest first: the time in UTC, what came or went with the fee, the fee if the
    /// wallet paid it, and the balance after.
    #[must_use]
    pub fn history_csv(&self) -> String {
        let (mut text, mut balance) = (format!("{HEAD}\r\n"), 0i64);
        for entry in self.history() {
            balance = balance.saturating_add(entry.net);
            text.push_str(&self.line(&entry, balance));
        }
        text
    }

    fn line(&self, entry: &Entry, balance: i64) -> String {
        let txid = entry.txid.to_string();
        let fields = [
            entry.time.map(utc).unwrap_or_default(),
            entry.height.map(|height| height.to_string()).unwrap_or_default(),
            entry.kind().to_owned(),
            signed(entry.net),
            entry.fee.map(format_mass).unwrap_or_default(),
            signed(balance),
            field(self.label("tx", &txid).unwrap_or_default()),
        ];
        let [time, height, kind, net, fee, balance, label] = fields;
        format!("{time},{height},{kind},{net},{fee},{balance},{txid},{label}\r\n")
    }
}

fn signed(maxwell: i64) -> String {
    let sign = if maxwell < 0 { "-" } else { "" };
    format!("{sign}{}", format_mass(Amount::new(maxwell.unsigned_abs())))
}

/// A text in quotes, which a spreadsheet does not take for a formula.
fn field(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    format!("\"{guard}{}\"", text.replace('"', "\"\"").replace(['\r', '\n'], " "))
}

/// Unix seconds as `2026-01-31T23:59:59Z` (the civil calendar of H. Hinnant's `civil_from_days`).
fn utc(unix: u64) -> String {
    let (days, second) = (unix / 86_400, unix % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_of_the_calendar() {
        for (unix, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_231_006_505, "2009-01-03T18:15:05Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(utc(unix), text);
        }
    }

    #[test]
    fn labels_cannot_break_a_table() {
        assert_eq!(field("a \"b\", c"), "\"a \"\"b\"\", c\"");
        assert_eq!(field("=1+1"), "\"'=1+1\"");
        assert_eq!((field(""), signed(-5)), (String::new(), "-0.0000005".to_owned()));
    }
}
