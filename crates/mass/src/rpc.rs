//! `mass rpc`: any method of a node, by name.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use mass_rpc::{ClientError, decimals};
use serde_json::Value;

use crate::{
    node::NodeUrl,
    output::{Output, Verdict},
    runtime,
};

/// How long an answer may take: some methods read the whole state, or wait for blocks.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Which method to call, and with what.
#[derive(Args)]
pub struct RpcArgs {
    #[command(flatten)]
    node: NodeUrl,
    /// Name of the method, such as getblockchaininfo or mass_status.
    #[arg(value_name = "METHOD")]
    method: String,
    /// Its parameters in their order. Each is JSON, or else a text: 5, true, null, '["a"]', '"5"', dms1...
    #[arg(value_name = "PARAMS", allow_negative_numbers = true)]
    params: Vec<String>,
}

/// Calls the method and prints what it returns.
pub fn run(args: &RpcArgs, output: Output) -> anyhow::Result<Verdict> {
    let (_, url) = args.node.resolve()?;
    let client = mass_rpc::client_that_waits(&url, PATIENCE).with_context(|| mass_rpc::shown(&url))?;
    let params = args.params.iter().map(|text| parse(text)).collect();
    let value = match runtime::block_on(async { Ok(mass_rpc::call(&client, &args.method, params).await) })? {
        Ok(value) => value,
        Err(ClientError::Call(error)) => bail!("{} (code {})", error.message(), error.code()),
        Err(error) => return Err(error).with_context(|| format!("the node at {}", mass_rpc::shown(&url))),
    };
    let pretty = decimals::pretty(&value);
    // A text alone is bare, so that the shell can pass it on.
    output.written(&pretty, value.as_str().unwrap_or(&pretty))?;
    Ok(Verdict::Good)
}

/// A parameter: JSON, or else a text. Digits that no number writes like that, as a hash may have them, are a
/// text too.
fn parse(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(Value::Number(number)) if number.to_string() != text => Value::from(text),
        Ok(value) => value,
        Err(_) => Value::from(text),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parameters_are_json_or_else_texts() {
        let cases = [
            ("5", json!(5)),
            ("-5", json!(-5)),
            ("\"5\"", json!("5")),
            ("true", json!(true)),
            ("null", json!(null)),
            ("[1, \"a\"]", json!([1, "a"])),
            ("dms1abc", json!("dms1abc")),
            ("12e4", json!("12e4")),
            ("000102", json!("000102")),
            ("99999999999999999999999", json!("99999999999999999999999")),
            ("", json!("")),
        ];
        for (text, value) in cases {
            assert_eq!(parse(text), value, "{text}");
        }
    }
}
