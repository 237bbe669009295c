//! Faults in the text of a chain spec: it is refused, or it is another chain by its id.

use mass_consensus::{rule::Numbered, spec::ChainSpec};
use serde_json::{Value, json};

use crate::{Outcome, dice::Dice};

pub fn spec(dice: &mut Dice) -> Outcome {
    let name = *dice.pick(&ChainSpec::BUILT_IN);
    let good = ChainSpec::built_in(name).expect("it is built in");
    let mut file = serde_json::to_value(good.file()).expect("it is JSON");
    let text = if dice.below(3) == 0 {
        let mut bytes = file.to_string().into_bytes();
        dice.spoil(&mut bytes, b"{}[]\",:0123456789.-e+ntfu\\");
        String::from_utf8_lossy(&bytes).into_owned()
    } else {
        change(&mut file, dice);
        file.to_string()
    };
    let spec = match ChainSpec::from_json(&text) {
        Ok(spec) => spec,
        Err(error) => return Outcome::Broken(error.rule()),
    };
    let (same_rules, same_id) = (spec.file().rules == good.file().rules, spec.id() == good.id());
    match (same_rules, same_id, spec.file().hints == good.file().hints) {
        (true, true, true) => Outcome::Passes("the same spec, written otherwise"),
        (true, true, false) => Outcome::Passes("the same chain with other hints"),
        (false, false, _) => Outcome::Passes("another chain, with another id"),
        (true, false, _) => Outcome::Forged("one chain with two ids"),
        (false, true, _) => Outcome::Forged("two chains with one id"),
    }
}

/// Goes down to some value and changes it.
fn change(value: &mut Value, dice: &mut Dice) {
    match value {
        Value::Object(fields) if !fields.is_empty() && dice.below(12) > 0 => {
            let key = fields.keys().nth(dice.below(fields.len())).expect("there are so many").clone();
            match dice.below(24) {
                0 => drop(fields.remove(&key)),
                1 => drop(fields.insert(format!("{key}_"), Value::Null)),
                _ => change(&mut fields[&key], dice),
            }
        }
        Value::Array(items) if !items.is_empty() && dice.below(12) > 0 => {
            let at = dice.below(items.len());
            match dice.below(12) {
                0 => drop(items.remove(at)),
                1 => items.push(items[at].clone()),
                _ => change(&mut items[at], dice),
            }
        }
        Value::Number(number) if dice.below(6) > 0 => {
            let number = number.as_u64().unwrap_or_default();
            let other =
                [0, 1, number.wrapping_add(1), number.wrapping_sub(1), number << 1, number >> 1, dice.next()];
            *value = json!(dice.pick(&other));
        }
        Value::String(text) if dice.below(6) > 0 => {
            let mut bytes = std::mem::take(text).into_bytes();
            bytes.push(b'a');
            dice.spoil(&mut bytes, b"-_A0 \"\\\n");
            *text = String::from_utf8_lossy(&bytes).into_owned();
        }
        other => {
            let values = [
                Value::Null,
                json!(true),
                json!(-1),
                json!(0.5),
                json!(1e300),
                json!(""),
                json!("x"),
                json!([]),
                json!({}),
                json!(u64::MAX),
                json!([[[]]]),
            ];
            *other = dice.pick(&values).clone();
        }
    }
}
