//! Numbers of JSON as Bitcoin Core writes amounts: with eight decimals and never with an exponent.
//!
//! A parser of JSON reads `1e-7` and `0.00000010` as the same number. Scripts that cut texts, parsers of fixed-point
//! numbers and people do not. The library writes the shortest form, so that answers are written here instead. Any number
//! with a fraction that eight decimals can hold, and that is no larger than all the money there can be, is taken for an
//! amount: nothing is lost if it is none. (An amount of MASS has seven decimals; the eighth is always 0.)

use std::io;

use serde::Serialize;
use serde_json::{
    Serializer, Value,
    ser::{CompactFormatter, Formatter, PrettyFormatter},
    value::RawValue,
};

/// Decimals of an amount in Bitcoin Core's answers.
const DECIMALS: usize = 8;
/// No amount in the chain's coins is as large.
const BELOW: f64 = 1e9;

/// A value as JSON in one line.
#[must_use]
pub fn text(value: &Value) -> String {
    written(value, CompactFormatter)
}

/// A value as JSON for people, in several lines.
#[must_use]
pub fn pretty(value: &Value) -> String {
    written(value, PrettyFormatter::new())
}

/// A value as an answer, which is passed on as it is written here.
#[must_use]
pub fn raw(value: &Value) -> Box<RawValue> {
    RawValue::from_string(text(value)).expect("what was written is JSON")
}

fn written(value: &Value, layout: impl Formatter) -> String {
    let mut bytes = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut bytes, Decimals(layout));
    value.serialize(&mut serializer).expect("memory takes all that is written, and keys are texts");
    String::from_utf8(bytes).expect("JSON is written in UTF-8")
}

/// A number that may be an amount, as an amount.
fn amount(number: f64) -> Option<String> {
    if number.abs() >= BELOW {
        return None;
    }
    // The shortest decimal number that is this one; it has no exponent.
    let text = number.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    (fraction.len() <= DECIMALS).then(|| format!("{whole}.{fraction:0<DECIMALS$}"))
}

/// A layout in which amounts are written so.
struct Decimals<F>(F);

macro_rules! as_the_layout_does {
    ($($name:ident($($argument:ident: $kind:ty),*);)+) => {$(
        fn $name<W: ?Sized + io::Write>(&mut self, writer: &mut W $(, $argument: $kind)*) -> io::Result<()> {
            self.0.$name(writer $(, $argument)*)
        }
    )+};
}

impl<F: Formatter> Formatter for Decimals<F> {
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, number: f64) -> io::Result<()> {
        match amount(number) {
            Some(text) => writer.write_all(text.as_bytes()),
            None => self.0.write_f64(writer, number),
        }
    }

    as_the_layout_does! {
        begin_array();
        end_array();
        begin_array_value(is_first: bool);
        end_array_value();
        begin_object();
        end_object();
        begin_object_key(is_first: bool);
        end_object_key();
        begin_object_value();
        end_object_value();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn amounts_have_eight_decimals_and_other_numbers_are_as_they_were() {
        let cases = [
            (json!(0.000_000_1), "0.00000010"),
            (json!(-0.000_000_1), "-0.00000010"),
            (json!(0.0), "0.00000000"),
            (json!(1024.0), "1024.00000000"),
            (json!(206_438_399.999_999_9), "206438399.99999990"),
            (json!(0.000_000_01), "0.00000001"),
            (json!(1e-9), "1e-9"),
            (json!(0.1 + 0.2), "0.30000000000000004"),
            (json!(1e15), "1e15"),
            (json!(7), "7"),
            (json!(u64::MAX), "18446744073709551615"),
        ];
        for (value, expected) in cases {
            assert_eq!(text(&value), expected);
            assert_eq!(serde_json::from_str::<f64>(expected).ok(), value.as_f64());
            assert_eq!(raw(&value).get(), expected);
        }
    }

    #[test]
    fn the_rest_is_laid_out_as_ever() {
        let value = json!({ "a": [1, "x", null, true, {}, []], "b": { "c": "\u{1}\"é" } });
        assert_eq!((text(&value), pretty(&value)), (value.to_string(), format!("{value:#}")));
    }
}
