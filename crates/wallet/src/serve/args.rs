//! Parameters of a call, by position or by name, as Bitcoin Core takes both.

use mass_ledger_utxo::parse_mass;
use mass_primitives::Amount;
use mass_rpc::{ErrorObjectOwned, RpcResult, errors, params::amount_text};
use serde_json::{Map, Value};

use super::errors::wrong_type;

/// The parameters of a call.
pub(super) struct Args(Map<String, Value>);

impl Args {
    /// Reads them; `names` are those that the method has.
    pub(super) fn read(raw: Option<&str>, names: &[&str]) -> RpcResult<Self> {
        let value: Value = match raw {
            None => Value::Null,
            Some(text) => {
                serde_json::from_str(text).map_err(|_| errors::decode("the parameters are no JSON"))?
            }
        };
        match value {
            Value::Null => Ok(Self(Map::new())),
            Value::Object(map) => match map.keys().find(|name| !names.contains(&name.as_str())) {
                Some(name) => Err(errors::invalid_parameter(format!("Unknown named parameter {name}"))),
                None => Ok(Self(map)),
            },
            Value::Array(list) if list.len() > names.len() => {
                Err(errors::misc(format!("at most {} parameters: {}", names.len(), names.join(", "))))
            }
            Value::Array(list) => Ok(Self(names.iter().map(|name| (*name).to_owned()).zip(list).collect())),
            _ => Err(wrong_type("parameters are a list or an object")),
        }
    }

    /// The parameters in an object that is a parameter itself.
    pub(super) fn within(&self, name: &str) -> RpcResult<Self> {
        match self.get(name) {
            None => Ok(Self(Map::new())),
            Some(Value::Object(map)) => Ok(Self(map.clone())),
            Some(_) => Err(self.mistyped(name, "object")),
        }
    }

    pub(super) fn of(map: Map<String, Value>) -> Self {
        Self(map)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn mistyped(&self, name: &str, expected: &str) -> ErrorObjectOwned {
        let got = match self.get(name) {
            None => "null",
            Some(Value::Bool(_)) => "bool",
            Some(Value::Number(_)) => "number",
            Some(Value::String(_)) => "string",
            Some(Value::Array(_)) => "array",
            Some(_) => "object",
        };
        wrong_type(format!("JSON value of type {got} for {name} is not of expected type {expected}"))
    }

    pub(super) fn text(&self, name: &str) -> RpcResult<Option<&str>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.mistyped(name, "string")),
        }
    }

    pub(super) fn needed(&self, name: &str) -> RpcResult<&str> {
        self.text(name)?.ok_or_else(|| errors::misc(format!("{name} is needed")))
    }

    pub(super) fn flag(&self, name: &str, usual: bool) -> RpcResult<bool> {
        match self.get(name) {
            None => Ok(usual),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.mistyped(name, "bool")),
        }
    }

    pub(super) fn number(&self, name: &str) -> RpcResult<Option<u64>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Number(number)) => number
                .as_u64()
                .map(Some)
                .ok_or_else(|| errors::invalid_parameter(format!("{name} is to be a whole number from 0"))),
            Some(_) => Err(self.mistyped(name, "number")),
        }
    }

    pub(super) fn list(&self, name: &str) -> RpcResult<Vec<Value>> {
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(list)) => Ok(list.clone()),
            Some(_) => Err(self.mistyped(name, "array")),
        }
    }
}

/// An amount in MASS, a number or a text, exact.
pub(super) fn amount(value: &Value) -> RpcResult<Amount> {
    parse_mass(&amount_text(value)?).map_err(|error| wrong_type(format!("Invalid amount: {error}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn amounts_are_exact_numbers_or_texts() {
        for (value, maxwell) in [
            (json!(1), 10_000_000),
            (json!(0.5), 5_000_000),
            (json!(0.000_000_1), 1),
            (json!("12.3456789"), 123_456_789),
            (json!(206_438_399.999_999_9), 2_064_383_999_999_999),
        ] {
            assert_eq!(amount(&value).unwrap().get(), maxwell, "{value}");
        }
        for value in [json!(-1), json!(0.000_000_01), json!(1e300), json!("1e3"), json!(true), json!("-1")] {
            assert_eq!(amount(&value).unwrap_err().code(), -3, "{value}");
        }
    }

    #[test]
    fn parameters_come_by_position_or_by_name() {
        let names = ["label", "count"];
        let args = Args::read(Some("[\"a\", 5]"), &names).unwrap();
        assert_eq!((args.text("label").unwrap(), args.number("count").unwrap()), (Some("a"), Some(5)));
        let args = Args::read(Some("{\"count\": 5}"), &names).unwrap();
        assert_eq!((args.text("label").unwrap(), args.number("count").unwrap()), (None, Some(5)));
        assert_eq!(args.needed("label").unwrap_err().code(), -1);
        assert_eq!(args.text("count").unwrap_err().code(), -3);
        assert_eq!(Args::read(Some("{\"no\": 5}"), &names).map(|_| ()).unwrap_err().code(), -8);
        assert_eq!(Args::read(Some("[1,2,3]"), &names).map(|_| ()).unwrap_err().code(), -1);
        assert!(Args::read(None, &names).is_ok());
    }
}
