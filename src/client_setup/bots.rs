//! Bots that update dependencies: Renovate and Dependabot. Both store a key as a secret of their own.

use super::recipe::Step;
use super::{Endpoint, VerifyingKey};

pub(super) fn renovate(endpoint: &Endpoint, _: &VerifyingKey) -> Vec<Step> {
    let url = endpoint.url();
    let rule = if endpoint.is_open {
        String::new()
    } else {
        format!(
            "  \"hostRules\": [\n    {{ \"hostType\": \"hex\", \"matchHost\": \"{url}\", \"authType\": \"Token-Only\", \
             \"token\": \"{{{{ secrets.HEXKEEP_KEY }}}}\" }}\n  ],\n"
        )
    };
    vec![Step::file(
        "Make Renovate use this server.",
        "renovate.json",
        format!(
            "{{\n{rule}  \"packageRules\": [\n    {{ \"matchDatasources\": [\"hex\"], \"registryUrls\": [\"{url}\"] }}\n  ]\n}}"
        ),
    )]
}

/// Dependabot drops the path of an organization's address, so every repository is one of its own.
pub(super) fn dependabot(endpoint: &Endpoint, key: &VerifyingKey) -> Vec<Step> {
    let (name, url, fingerprint) = (&endpoint.name, endpoint.url(), &key.fingerprint);
    let auth = if endpoint.is_open { "not-needed" } else { "${{ secrets.HEXKEEP_KEY }}" };
    vec![Step::file(
        "Make Dependabot use this server.",
        ".github/dependabot.yml",
        format!(
            "version: 2\nregistries:\n  {name}:\n    type: hex-repository\n    repo: {name}\n    url: {url}\n    \
             auth-key: {auth}\n    public-key-fingerprint: {fingerprint}\nupdates:\n  - package-ecosystem: mix\n    \
             directory: /\n    registries: [{name}]\n    schedule: {{ interval: weekly }}"
        ),
    )]
}
