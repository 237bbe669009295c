//! `mass node password`: a password for a user of the RPC, and the line that lets the node know it without telling it.

use clap::Args;
use data_encoding::BASE64URL_NOPAD;
use mass_rpc::User;
use serde_json::json;
use zeroize::Zeroizing;

use crate::output::Output;

/// For whom.
#[derive(Args)]
pub struct PasswordArgs {
    /// The user's name.
    #[arg(value_name = "USER")]
    name: String,
}

/// Makes a password and prints it, with the line for `--rpc-auth`.
pub fn make(args: &PasswordArgs, output: Output) -> anyhow::Result<()> {
    let mut random = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *random)?;
    let password = Zeroizing::new(BASE64URL_NOPAD.encode(&*random));
    let user = User::new(&args.name, &password)?;
    let text = format!(
        "password  {}\nfor the node: --rpc-auth '{user}'\nfor clients, in a file of mode 0600: {}:{}",
        *password, args.name, *password
    );
    output.result(&json!({ "user": args.name, "password": *password, "rpc_auth": user.to_string() }), &text)
}
