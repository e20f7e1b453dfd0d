//! The lines that make a client work with one repository of this server: the one source for the command line, the log at
//! start, the front page and docs/CLIENTS.md. Pure.

mod bots;
mod docker;
mod mix;
mod rebar3;
mod recipe;

pub use self::recipe::{Recipe, Step};

use crate::choice::choice;
use crate::hex::name::HEXPM;

choice! {
    /// A program that fetches packages.
    pub enum Client {
        /// Elixir's build tool, with Hex.
        Mix = "mix",
        /// Erlang's build tool.
        Rebar3 = "rebar3",
        /// A bot that updates dependencies.
        Renovate = "renovate",
        /// GitHub's bot that updates dependencies.
        Dependabot = "dependabot",
        /// A container image that is built with mix.
        Docker = "docker",
    }
}

choice! {
    /// Who uses the client.
    pub enum Role {
        /// A person, who logs in once and keeps the settings.
        Developer = "developer",
        /// A machine, which starts without settings at each run and has a key in its secrets.
        Ci = "ci",
    }
}

/// What clients have to know of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its key in the configuration.
    pub key: String,
    /// Its name in signed resources: clients refuse another one than the name they have for it.
    pub name: String,
    /// Scheme and authority of this server, without a slash at the end.
    pub server: String,
    /// A host of its own, where it has one.
    pub host: Option<String>,
    /// Whether it answers at the root of the server.
    pub is_default: bool,
    /// Whether mix can know it as an organization of the default repository: `hexpm:KEY`.
    pub is_organization: bool,
    /// Whether everybody may read it.
    pub is_open: bool,
    /// Whether packages are published to it.
    pub is_published_to: bool,
}

/// The key that clients verify a repository with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyingKey {
    /// SPKI PEM.
    pub pem: String,
    /// `SHA256:…`, as mix and `ssh-keygen -l` print it.
    pub fingerprint: String,
    /// Whether it is that of hex.pm, which mix and rebar3 contain.
    pub is_hexpms: bool,
}

/// For whom the lines are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader {
    /// Who uses the client.
    pub role: Role,
    /// The name of the account, where it is known.
    pub user: Option<String>,
    /// The version of the client, where it is known: major and minor.
    pub version: Option<(u64, u64)>,
}

/// What stands in the lines for a key of the API.
const KEY: &str = "KEY";

impl Endpoint {
    /// The address of the repository.
    fn url(&self) -> String {
        match &self.host {
            _ if self.is_default => self.server.clone(),
            Some(host) => {
                let scheme = self.server.split_once("://").map_or("https", |(scheme, _)| scheme);
                format!("{scheme}://{host}")
            }
            None => format!("{}/repos/{}", self.server, self.key),
        }
    }

    /// The address of the API of this repository.
    fn api_url(&self) -> String {
        if self.is_default { self.server_api() } else { format!("{}/repos/{}", self.server_api(), self.key) }
    }

    /// The address of the API of the whole server.
    fn server_api(&self) -> String {
        format!("{}/api", self.server)
    }

    /// Whether clients ask it in place of hex.pm.
    fn replaces_hexpm(&self) -> bool {
        self.is_default && self.name == HEXPM
    }
}

/// The steps that make `client` work with the repository.
pub fn recipe(client: Client, endpoint: &Endpoint, key: &VerifyingKey, reader: &Reader) -> Recipe {
    let steps = match client {
        Client::Mix => mix::steps(endpoint, key, reader),
        Client::Rebar3 => rebar3::steps(endpoint, key, reader),
        Client::Renovate => bots::renovate(endpoint, key),
        Client::Dependabot => bots::dependabot(endpoint, key),
        Client::Docker => docker::steps(endpoint, key),
    };
    Recipe { steps }
}

#[cfg(test)]
mod tests;
