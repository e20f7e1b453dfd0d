//! mix with Hex 2.0 and later.

use super::recipe::Step;
use super::{Endpoint, KEY, Reader, Role, VerifyingKey};
use crate::hex::name::HEXPM;

/// Where Hex exchanges keys for tokens, from this version on: without `api_url` they go to hex.pm.
const EXCHANGES_KEYS: (u64, u64) = (2, 4);
/// From this version on `mix hex.user auth` opens a page; before it asks for a password.
const LOGS_IN_BY_PAGE: (u64, u64) = (2, 4);

pub(super) fn steps(endpoint: &Endpoint, key: &VerifyingKey, reader: &Reader) -> Vec<Step> {
    let mut steps = Vec::new();
    let in_hexpm = endpoint.replaces_hexpm() || endpoint.is_organization;
    let needs_api = !endpoint.is_open || endpoint.is_published_to;
    if needs_api && !reader.version.is_some_and(|version| version < EXCHANGES_KEYS && reader.role == Role::Ci) {
        steps.push(api(endpoint, reader));
    }
    if in_hexpm {
        steps.extend(hexpm(&endpoint.server, key, reader));
        steps.extend(login(endpoint, reader));
    } else {
        steps.push(other_repository(endpoint, key));
    }
    steps.push(dependency(endpoint));
    steps.extend(publish(endpoint, reader));
    steps
}

/// `mix hex.config` keeps the address; a machine has it in its environment.
fn api(endpoint: &Endpoint, reader: &Reader) -> Step {
    let command = match reader.role {
        Role::Developer => format!("mix hex.config api_url {}", endpoint.server_api()),
        Role::Ci => format!("export HEX_API_URL={}", endpoint.server_api()),
    };
    Step::shell("Send keys and logins to this server. Without this setting, they go to hex.pm.", [command])
}

fn hexpm(server: &str, key: &VerifyingKey, reader: &Reader) -> Vec<Step> {
    let title = "Fetch packages from this server.";
    if !key.is_hexpms {
        return vec![
            fetch_key(server, key),
            Step::shell(title, [format!("mix hex.repo set {HEXPM} --url {server} --public-key hexkeep.pem")]),
        ];
    }
    let command = match reader.role {
        Role::Developer => format!("mix hex.repo set {HEXPM} --url {server}"),
        Role::Ci => format!("export HEX_MIRROR_URL={server}"),
    };
    vec![Step::shell(title, [command])]
}

/// `mix hex.repo set` cannot fetch the key itself.
fn fetch_key(url: &str, key: &VerifyingKey) -> Step {
    let title = format!("Fetch the public key. The second command must print {}.", key.fingerprint);
    Step::shell(
        title,
        [
            format!("curl -fsS {url}/public_key -o hexkeep.pem"),
            "ssh-keygen -i -m PKCS8 -f hexkeep.pem | ssh-keygen -l -f -".to_owned(),
        ],
    )
}

fn login(endpoint: &Endpoint, reader: &Reader) -> Option<Step> {
    if endpoint.is_open && !(endpoint.is_published_to && reader.role == Role::Developer) {
        return None;
    }
    Some(match reader.role {
        Role::Developer => {
            let by_password = reader.version.is_some_and(|version| version < LOGS_IN_BY_PAGE);
            let account = reader.user.as_deref().map_or_else(String::new, |user| format!(" as \"{user}\""));
            let title = if by_password {
                format!("Log in{account} with the user name and the password.")
            } else {
                format!("Log in{account} on the page that opens.")
            };
            Step::shell(title, ["mix hex.user auth".to_owned()])
        }
        Role::Ci if endpoint.is_organization => Step::shell(
            "Use the key of the organization.",
            [format!("mix hex.organization auth {} --key {KEY}", endpoint.key)],
        ),
        Role::Ci => Step::shell("Use a key that can read the repository.", [format!("export HEX_REPOS_KEY={KEY}")]),
    })
}

fn other_repository(endpoint: &Endpoint, key: &VerifyingKey) -> Step {
    Step::shell(
        "Add the repository. mix fetches its public key and compares the fingerprint.",
        [add(endpoint, key, (!endpoint.is_open).then_some(KEY))],
    )
}

/// Adds the repository beside hexpm. The public key is a part of the command: Hex cannot fetch anything without one.
pub(super) fn add(endpoint: &Endpoint, key: &VerifyingKey, auth: Option<&str>) -> String {
    let (name, url, fingerprint) = (&endpoint.name, endpoint.url(), &key.fingerprint);
    let auth = auth.map_or_else(String::new, |auth| format!(" --auth-key {auth}"));
    format!("mix hex.repo add {name} {url} --fetch-public-key {fingerprint}{auth}")
}

fn dependency(endpoint: &Endpoint) -> Step {
    if endpoint.replaces_hexpm() {
        return Step::shell("Fetch the dependencies of a project.", ["mix deps.get".to_owned()]);
    }
    let option = if endpoint.is_organization {
        format!("organization: \"{}\"", endpoint.key)
    } else {
        format!("repo: \"{}\"", endpoint.name)
    };
    Step::file(
        "Name the repository in the dependencies of a project.",
        "mix.exs",
        format!("{{:package, \"~> 1.0\", {option}}}"),
    )
}

fn publish(endpoint: &Endpoint, reader: &Reader) -> Option<Step> {
    if !endpoint.is_published_to {
        return None;
    }
    let organization = match (endpoint.replaces_hexpm(), endpoint.is_organization) {
        (true, _) => String::new(),
        (false, true) => format!(" --organization {}", endpoint.key),
        (false, false) => {
            return Some(Step::note(
                "mix publishes only to hexpm and its organizations. Use rebar3 or curl to publish here.",
            ));
        }
    };
    Some(match reader.role {
        Role::Developer => Step::shell("Publish a package.", [format!("mix hex.publish{organization}")]),
        Role::Ci => Step::shell(
            "Publish a package with a key that has the permission api:write.",
            [format!("HEX_API_KEY={KEY} mix hex.publish --yes{organization}")],
        ),
    })
}
