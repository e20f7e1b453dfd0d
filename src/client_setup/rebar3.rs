//! rebar3. It is never told `HEX_MIRROR`: versions that read it stop verifying signatures.

use super::recipe::Step;
use super::{Endpoint, KEY, Reader, Role, VerifyingKey};

/// The first version that takes tarballs of more than 8 MiB.
const LARGE_TARBALLS: (u64, u64) = (3, 24);

pub(super) fn steps(endpoint: &Endpoint, key: &VerifyingKey, reader: &Reader) -> Vec<Step> {
    let mut steps = Vec::new();
    // rebar3 reads the address of hexpm from `HEX_CDN` alone: a `repo_url` in a file does not count for it.
    if endpoint.replaces_hexpm() {
        steps.push(Step::shell("Fetch packages from this server.", [format!("export HEX_CDN={}", endpoint.url())]));
    }
    if !(endpoint.replaces_hexpm() && key.is_hexpms) {
        steps.push(repository(endpoint, key));
    }
    steps.extend(credentials(endpoint, reader));
    steps.extend(publish(endpoint, reader));
    if reader.version.is_some_and(|version| version < LARGE_TARBALLS) {
        steps.push(Step::note("This version of rebar3 takes tarballs of at most 8 MiB."));
    }
    steps
}

fn repository(endpoint: &Endpoint, key: &VerifyingKey) -> Step {
    let (name, api, pem) = (&endpoint.name, endpoint.api_url(), key.pem.trim_end());
    let url = match endpoint.replaces_hexpm() {
        true => String::new(),
        false => format!("repo_url => <<\"{}\">>, ", endpoint.url()),
    };
    Step::file(
        "Add the repository to the project, or to ~/.config/rebar3/rebar.config for all projects.",
        "rebar.config",
        format!(
            "{{hex, [{{repos, [#{{name => <<\"{name}\">>, {url}api_url => <<\"{api}\">>,\n                  \
             repo_public_key => <<\"{pem}\n\">>}}]}}]}}."
        ),
    )
}

/// `repo_key` fetches packages, `read_key` asks the API, `api_key` publishes. A `write_key` would be taken for an encrypted one.
fn credentials(endpoint: &Endpoint, reader: &Reader) -> Option<Step> {
    let fetches = (!endpoint.is_open).then(|| format!("repo_key => <<\"{KEY}\">>"));
    let keeps_keys = endpoint.is_published_to && reader.role == Role::Developer;
    let publishes = keeps_keys.then(|| {
        let user = reader.user.as_deref().unwrap_or("USER");
        format!("api_key => <<\"{KEY}\">>, read_key => <<\"{KEY}\">>, username => <<\"{user}\">>")
    });
    let fields: Vec<String> = fetches.into_iter().chain(publishes).collect();
    if fields.is_empty() {
        return None;
    }
    let (name, fields) = (&endpoint.name, fields.join(", "));
    let title = "Give rebar3 the key, in a file that only you can read.";
    Some(Step::file(title, "~/.config/rebar3/hex.config", format!("#{{<<\"{name}\">> => #{{{fields}}}}}.")))
}

fn publish(endpoint: &Endpoint, reader: &Reader) -> Option<Step> {
    if !endpoint.is_published_to {
        return None;
    }
    let name = &endpoint.name;
    Some(match reader.role {
        Role::Developer => Step::shell("Publish a package.", [format!("rebar3 hex publish -r {name}")]),
        Role::Ci => Step::shell(
            "Publish a package with a key that has the permission api:write.",
            [format!("HEX_API_KEY={KEY} rebar3 hex publish -r {name} --yes")],
        ),
    })
}
