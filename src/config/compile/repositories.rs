//! `repositories:`, and what must hold between them. Imports ground, `hex` names and `config`.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::remote::{self, Surroundings};
use super::{Context, hexpm};
use crate::config::fault::Fault;
use crate::config::problem::Excerpt;
use crate::config::settings::RemoteSettings;
use crate::config::walk::{Field, Section};
use crate::hex::name::RepoName;

/// Reads every repository of `top`, whose default is `default` and which is served on `listen`.
pub(super) fn read(
    top: &mut Section<'_>,
    default: &RepoName,
    listen: SocketAddr,
    context: Context<'_>,
) -> BTreeMap<RepoName, RemoteSettings> {
    let mut found = BTreeMap::new();
    let Some(field) = top.field("repositories") else { return found };
    let Some(entries) = field.entries() else { return found };
    if entries.is_empty() {
        field.fault(Fault::NoRepositories);
        return found;
    }
    let mut surroundings = Surroundings::new(context, listen);
    let mut keys: Vec<(RepoName, Field<'_>)> = Vec::new();
    for entry in entries {
        let child = field.child(entry);
        match entry.key.parse::<RepoName>() {
            Ok(key) => {
                if let Some(settings) = remote::remote(&child, &key, &mut surroundings) {
                    found.insert(key.clone(), settings);
                }
                keys.push((key, child));
            }
            Err(error) => child.fault_at_key(Fault::Name(error)),
        }
    }
    if !keys.iter().any(|(key, _)| key == default) {
        let known = keys.iter().map(|(key, _)| key.to_string()).collect();
        top.fault("default_repository", Fault::DefaultRepository { name: Excerpt::new(default.as_str()), known });
    }
    // Clients know `hexpm` by one name and one key. If the default repository is that, `/repos/hexpm` is the default.
    let hexpm = hexpm();
    if *default != hexpm && surroundings.names.get(default) == Some(&hexpm) {
        for (_, child) in keys.iter().filter(|(key, _)| *key == hexpm) {
            child.fault_at_key(Fault::HexpmTaken { default: default.to_string() });
        }
    }
    found
}
