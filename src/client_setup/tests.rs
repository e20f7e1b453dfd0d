//! Each recipe has the lines for its repository, and none weakens a client.

use super::*;
use crate::choice::Choice as _;

fn endpoint() -> Endpoint {
    Endpoint {
        key: "hexpm".to_owned(),
        name: "hexpm".to_owned(),
        server: "https://hex.example".to_owned(),
        host: None,
        is_default: true,
        is_organization: false,
        is_open: true,
        is_published_to: false,
    }
}

fn acme() -> Endpoint {
    Endpoint {
        key: "acme".to_owned(),
        name: "acme".to_owned(),
        is_default: false,
        is_organization: true,
        is_open: false,
        is_published_to: true,
        ..endpoint()
    }
}

fn key(is_hexpms: bool) -> VerifyingKey {
    let pem = "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n".to_owned();
    VerifyingKey { pem, fingerprint: "SHA256:abc".to_owned(), is_hexpms }
}

fn reader(role: Role) -> Reader {
    Reader { role, user: None, version: None }
}

fn lines(client: Client, endpoint: &Endpoint, is_hexpms: bool, role: Role) -> String {
    recipe(client, endpoint, &key(is_hexpms), &reader(role)).to_string()
}

#[test]
fn a_mirror_of_hex_pm_is_one_line() {
    let mix = |role| lines(Client::Mix, &endpoint(), true, role);
    assert!(mix(Role::Developer).contains("\nmix hex.repo set hexpm --url https://hex.example\n"));
    assert!(mix(Role::Ci).contains("\nexport HEX_MIRROR_URL=https://hex.example\n"));
    let rebar3 = lines(Client::Rebar3, &endpoint(), true, Role::Ci);
    assert_eq!(rebar3, "# Fetch packages from this server.\nexport HEX_CDN=https://hex.example\n");
}

#[test]
fn another_key_is_given_to_the_client() {
    let mix = lines(Client::Mix, &endpoint(), false, Role::Ci);
    assert!(mix.contains("\nmix hex.repo set hexpm --url https://hex.example --public-key hexkeep.pem\n"), "{mix}");
    assert!(mix.contains("must print SHA256:abc."), "{mix}");
    let rebar3 = lines(Client::Rebar3, &endpoint(), false, Role::Ci);
    assert!(rebar3.contains("\nexport HEX_CDN=https://hex.example\n") && !rebar3.contains("repo_url"), "{rebar3}");
    assert!(rebar3.contains("repo_public_key => <<\"-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n\">>"));
}

#[test]
fn organizations_and_other_repositories_have_their_own_commands() {
    let organization = lines(Client::Mix, &acme(), false, Role::Ci);
    assert!(organization.contains("\nmix hex.organization auth acme --key KEY\n"), "{organization}");
    assert!(organization.contains("organization: \"acme\""), "{organization}");
    let other = lines(Client::Mix, &Endpoint { is_organization: false, ..acme() }, false, Role::Ci);
    let add = "\nmix hex.repo add acme https://hex.example/repos/acme --fetch-public-key SHA256:abc --auth-key KEY\n";
    assert!(other.contains(add) && other.contains("repo: \"acme\""), "{other}");
    let host = Endpoint { is_organization: false, host: Some("acme.example".to_owned()), ..acme() };
    assert!(lines(Client::Dependabot, &host, false, Role::Ci).contains("url: https://acme.example\n"));
}

/// Hex 2.4 and later exchange keys at the API, which is hex.pm's unless they are told otherwise.
#[test]
fn where_a_key_is_used_it_goes_to_this_server() {
    for client in [Client::Mix, Client::Docker] {
        for is_organization in [true, false] {
            let text = lines(client, &Endpoint { is_organization, ..acme() }, false, Role::Ci);
            assert!(text.contains("HEX_API_URL=https://hex.example/api\n"), "{text}");
        }
    }
}

#[test]
fn versions_of_clients_have_their_own_lines() {
    let text = |client, role, version| {
        let reader = Reader { version, user: Some("alice".to_owned()), ..reader(role) };
        recipe(client, &acme(), &key(false), &reader).to_string()
    };
    assert!(text(Client::Mix, Role::Developer, Some((2, 3))).contains("with the user name and the password"));
    assert!(text(Client::Mix, Role::Developer, None).contains("Log in as \"alice\" on the page that opens."));
    assert!(!text(Client::Mix, Role::Ci, Some((2, 3))).contains("HEX_API_URL"));
    assert!(text(Client::Rebar3, Role::Developer, Some((3, 19))).contains("at most 8 MiB"));
    assert!(!text(Client::Rebar3, Role::Developer, Some((3, 24))).contains("8 MiB"));
}

/// Versions of rebar3 that read `HEX_MIRROR` stop verifying signatures; a key in `write_key` is taken for an encrypted one.
#[test]
fn no_recipe_weakens_a_client() {
    for client in Client::ALL {
        for role in Role::ALL {
            for endpoint in [endpoint(), acme(), Endpoint { is_organization: false, ..acme() }] {
                for is_hexpms in [true, false] {
                    let text = lines(*client, &endpoint, is_hexpms, *role);
                    assert!(!text.is_empty());
                    let puts_in_danger = ["HEX_MIRROR=", "UNSAFE", "NO_VERIFY", "write_key", "no-verify"];
                    assert!(puts_in_danger.iter().all(|word| !text.contains(word)), "{text}");
                    assert!(*client != Client::Rebar3 || !text.contains("HEX_MIRROR"), "{text}");
                }
            }
        }
    }
}

#[test]
fn json_has_the_same_steps() {
    let recipe = recipe(Client::Rebar3, &acme(), &key(false), &reader(Role::Developer));
    let json = serde_json::to_string(&recipe).unwrap();
    assert_eq!(serde_json::from_str::<Recipe>(&json).unwrap(), recipe);
    assert!(json.contains("\"path\":\"rebar.config\"") && !json.contains("\"commands\":[]"), "{json}");
}
