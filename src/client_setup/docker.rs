//! Container images that are built with mix: settings in the image, the key only while a command runs.

use super::recipe::Step;
use super::{Endpoint, VerifyingKey, mix};
use crate::hex::name::HEXPM;

/// What a Dockerfile calls the key.
const SECRET: &str = "hexkeep_key";

pub(super) fn steps(endpoint: &Endpoint, key: &VerifyingKey) -> Vec<Step> {
    let mut lines = Vec::new();
    let in_hexpm = endpoint.replaces_hexpm() || endpoint.is_organization;
    let server = &endpoint.server;
    if !endpoint.is_open {
        lines.push(format!("ENV HEX_API_URL={server}/api"));
    }
    if in_hexpm && key.is_hexpms {
        lines.push(format!("ENV HEX_MIRROR_URL={server}"));
    } else if in_hexpm {
        lines.push(format!("ADD {server}/public_key /etc/hexkeep.pem"));
        lines.push(format!("RUN mix hex.repo set {HEXPM} --url {server} --public-key /etc/hexkeep.pem"));
    }
    let secret = format!("$(cat /run/secrets/{SECRET})");
    let fetch = match (in_hexpm, endpoint.is_open) {
        (true, true) => "RUN mix deps.get".to_owned(),
        (true, false) => {
            format!("RUN --mount=type=secret,id={SECRET} HEX_REPOS_KEY=\"{secret}\" mix deps.get")
        }
        (false, is_open) => {
            let add = mix::add(endpoint, key, (!is_open).then_some(&*format!("\"{secret}\"")));
            let mount = if is_open { String::new() } else { format!("--mount=type=secret,id={SECRET} ") };
            format!("RUN {mount}{add} && mix deps.get && mix hex.repo remove {}", endpoint.name)
        }
    };
    lines.push(fetch);
    let build = if endpoint.is_open {
        "docker build .".to_owned()
    } else {
        format!("docker build --secret id={SECRET},src=hexkeep.key .")
    };
    vec![
        Step::file("Fetch packages from this server while the image is built.", "Dockerfile", lines.join("\n")),
        Step::shell("Build the image.", [build]),
    ]
}
