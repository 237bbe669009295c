//! Parameters of methods that are named as in Bitcoin Core: read by position or by name, and refused in its way.
//!
//! A method says what it takes as a list of [`Param`]s. Too few or too many are answered with the usage and the code
//! -1, a value of the wrong type with -3, one that is no hash with -8.

use jsonrpsee::core::RpcResult;
use serde_json::{Map, Value};

use crate::errors;

/// What a parameter has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// A hash of 32 bytes in hexadecimal digits.
    Hash,
    /// A whole number.
    Number,
    /// Yes or no.
    Bool,
    /// A number, or yes for 1 and no for 0.
    Verbosity,
    /// A list.
    Array,
    /// An object.
    Object,
    /// Whatever it is, the method looks at it.
    Any,
}

/// A parameter of a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// What it has to be.
    pub kind: Kind,
    /// Whether it may be left out.
    pub is_optional: bool,
}

impl Param {
    /// One that must be there.
    #[must_use]
    pub const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, is_optional: false }
    }

    /// One that may be left out.
    #[must_use]
    pub const fn optional(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, is_optional: true }
    }
}

/// The parameters of a call, in their order; null for one that was left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Args(Vec<Value>);

/// How a method is called, in one line.
#[must_use]
pub fn usage(method: &str, params: &[Param]) -> String {
    let mut line = method.to_owned();
    for param in params {
        let quote = if matches!(param.kind, Kind::Text | Kind::Hash) { "\"" } else { "" };
        let (open, close) = if param.is_optional { ("( ", " )") } else { ("", "") };
        line.push_str(&format!(" {open}{quote}{}{quote}{close}", param.name));
    }
    line
}

impl Args {
    /// Reads the parameters of a call: the text of a JSON array or object, or nothing.
    ///
    /// # Errors
    /// Codes -32700, -1, -3 and -8.
    pub fn read(method: &str, params: &[Param], text: Option<&str>) -> RpcResult<Self> {
        let given = text.filter(|text| !text.trim().is_empty()).unwrap_or("[]");
        let given: Value = serde_json::from_str(given).map_err(|error| errors::parse(error.to_string()))?;
        let mut values = match given {
            Value::Array(values) => values,
            Value::Object(named) => by_position(params, named)?,
            _ => return Err(errors::invalid_request("Params must be an array or object")),
        };
        let needed = params.iter().rposition(|param| !param.is_optional).map_or(0, |last| last + 1);
        let is_missing = |(value, param): (&Value, &Param)| value.is_null() && !param.is_optional;
        if values.len() > params.len() || values.len() < needed || values.iter().zip(params).any(is_missing) {
            return Err(errors::misc(usage(method, params)));
        }
        values.resize(params.len(), Value::Null);
        let wrong: Vec<String> = values
            .iter()
            .zip(params)
            .enumerate()
            .filter_map(|(position, (value, param))| wrong_type(position, value, param))
            .collect();
        if !wrong.is_empty() {
            return Err(errors::type_mismatch(format!("Wrong type passed:\n{{\n{}\n}}", wrong.join(",\n"))));
        }
        for (value, param) in values.iter().zip(params).filter(|(_, param)| param.kind == Kind::Hash) {
            value.as_str().map_or(Ok(()), |text| check_hash(param.name, text))?;
        }
        Ok(Self(values))
    }

    /// The value at a position; null if it was left out.
    #[must_use]
    pub fn value(&self, position: usize) -> &Value {
        self.0.get(position).unwrap_or(&Value::Null)
    }

    /// The text at a position; empty if it was left out.
    #[must_use]
    pub fn text(&self, position: usize) -> &str {
        self.value(position).as_str().unwrap_or_default()
    }

    /// The text at a position, unless it was left out.
    #[must_use]
    pub fn optional_text(&self, position: usize) -> Option<&str> {
        self.value(position).as_str()
    }

    /// The number at a position, where yes is 1 and no is 0.
    #[must_use]
    pub fn number(&self, position: usize) -> Option<i64> {
        match self.value(position) {
            Value::Bool(yes) => Some(i64::from(*yes)),
            value => value.as_i64(),
        }
    }

    /// Whether the parameter at a position says yes; `otherwise` if it was left out.
    #[must_use]
    pub fn is(&self, position: usize, otherwise: bool) -> bool {
        self.value(position).as_bool().unwrap_or(otherwise)
    }

    /// A hash at a position, read in the way that ids are written.
    ///
    /// # Errors
    /// Code -8: it was left out.
    pub fn hash<T: core::str::FromStr>(&self, position: usize) -> RpcResult<T> {
        self.text(position).parse().map_err(|_| errors::invalid_parameter("a hash is missing"))
    }
}

fn by_position(params: &[Param], mut named: Map<String, Value>) -> RpcResult<Vec<Value>> {
    let values = params.iter().map(|param| named.remove(param.name).unwrap_or_default()).collect();
    match named.keys().next() {
        Some(name) => Err(errors::invalid_parameter(format!("Unknown named parameter {name}"))),
        None => Ok(values),
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn wrong_type(position: usize, value: &Value, param: &Param) -> Option<String> {
    let (fits, expected) = match param.kind {
        Kind::Text | Kind::Hash => (value.is_string(), "string"),
        Kind::Number => (value.is_i64(), "number"),
        Kind::Bool => (value.is_boolean(), "bool"),
        Kind::Verbosity => (value.is_boolean() || value.is_i64(), "number"),
        Kind::Array => (value.is_array(), "array"),
        Kind::Object => (value.is_object(), "object"),
        Kind::Any => (true, ""),
    };
    let got = type_name(value);
    (!fits && !value.is_null()).then(|| {
        let number = position + 1;
        format!(
            "    \"Position {number} ({})\": \"JSON value of type {got} is not of expected type {expected}\"",
            param.name
        )
    })
}

/// No amount in the chain's coins is as large.
const AMOUNT_BELOW: f64 = 1e9;

/// The decimal text of an amount, given as a number, however it was written, or as a text.
///
/// # Errors
/// Code -3: it is neither, or no amount can be as small or as large.
pub fn amount_text(value: &Value) -> RpcResult<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        // It was read into a binary fraction: the shortest text for it is what was written.
        Value::Number(number) => match number.as_f64().filter(|number| *number < AMOUNT_BELOW) {
            Some(number) => number.to_string(),
            None => return Err(errors::type_mismatch("Amount out of range")),
        },
        _ => return Err(errors::type_mismatch("Amount is not a number or string")),
    };
    if text.starts_with('-') { Err(errors::type_mismatch("Amount out of range")) } else { Ok(text) }
}

/// Refuses a text that is no hash.
///
/// # Errors
/// Code -8.
pub fn check_hash(name: &str, text: &str) -> RpcResult<()> {
    let shown: String = text.chars().take(80).collect();
    if text.len() != 64 {
        let got = text.len();
        return Err(errors::invalid_parameter(format!(
            "{name} must be of length 64 (not {got}, for '{shown}')"
        )));
    }
    if text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(())
    } else {
        Err(errors::invalid_parameter(format!("{name} must be hexadecimal string (not '{shown}')")))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PARAMS: &[Param] = &[
        Param::new("hash", Kind::Hash),
        Param::optional("verbosity", Kind::Verbosity),
        Param::optional("text", Kind::Text),
    ];

    fn read(value: &Value) -> RpcResult<Args> {
        Args::read("method", PARAMS, Some(&value.to_string()))
    }

    #[test]
    fn parameters_are_read_by_position_and_by_name() {
        let hash = "ab".repeat(32);
        let by_position = read(&json!([hash, true])).unwrap();
        assert_eq!((by_position.text(0), by_position.number(1)), (hash.as_str(), Some(1)));
        assert_eq!(by_position.optional_text(2), None);
        let by_name = read(&json!({ "text": "a", "hash": hash })).unwrap();
        assert_eq!((by_name.text(0), by_name.number(1), by_name.text(2)), (hash.as_str(), None, "a"));
        assert_eq!(Args::read("method", &[], None).unwrap(), Args(vec![]));
    }

    #[test]
    fn what_does_not_fit_has_a_code_of_its_own() {
        let hash = "ab".repeat(32);
        let cases = [
            (json!([]), -1),
            (json!([hash, 1, "a", 4]), -1),
            (json!([null]), -1),
            (json!({ "text": "a" }), -1),
            (json!({ "hash": hash, "other": 1 }), -8),
            (json!([5]), -3),
            (json!([hash, "a"]), -3),
            (json!([hash, 1.5]), -3),
            (json!(["ab"]), -8),
            (json!(["zz".repeat(32)]), -8),
            (json!(5), -32600),
        ];
        for (params, code) in cases {
            assert_eq!(read(&params).unwrap_err().code(), code, "{params}");
        }
        assert_eq!(Args::read("method", PARAMS, Some("[")).unwrap_err().code(), -32700);
        assert_eq!(usage("method", PARAMS), "method \"hash\" ( verbosity ) ( \"text\" )");
    }
}
