//! Reads the section `server`.

use std::net::{IpAddr, SocketAddr};

use super::Context;
use crate::config::fault::Fault;
use crate::config::fields::{Field, Section};
use crate::config::problem::Excerpt;
use crate::config::settings::{ServerSettings, TlsSettings};
use crate::config::{bounds, defaults};

const WEB: &[&str] = &["http://", "https://"];

pub(super) fn server(mut section: Section<'_>, context: Context<'_>) -> ServerSettings {
    let listen = section.get("listen", defaults::LISTEN, Field::socket_address);
    let ops_listen = section.get("ops_listen", defaults::OPS_LISTEN, Field::socket_address);
    if collide(listen, ops_listen) {
        // Report the problem at a key that is in the file: the other address may be a default.
        let key = if section.has("ops_listen") { "ops_listen" } else { "listen" };
        section.fault(key, Fault::SameListen(Excerpt::new(&listen.to_string())));
    }
    let tls = section.optional("tls", |field| tls(field, context));
    let scheme = if tls.is_some() { "https" } else { "http" };
    let public_url = section.get("public_url", format!("{scheme}://{listen}"), |field| {
        let url = field.url(WEB, "https://hex.example.com")?;
        if url.user_info.is_some() {
            field.fault(Fault::PublicUrlUserInfo);
            return None;
        }
        Some(url.without_user_info())
    });
    let trusted_proxies = section.get("trusted_proxies", Vec::new(), |field| field.list(|item| item.network()));
    let max_connections =
        section.get("max_connections", defaults::MAX_CONNECTIONS, |field| field.number_limit(&bounds::MAX_CONNECTIONS));
    let deadline = section.get("deadline", defaults::DEADLINE, |field| field.duration(&bounds::DEADLINE));
    section.finish();
    ServerSettings { listen, ops_listen, public_url, tls, trusted_proxies, max_connections, deadline }
}

/// Whether the addresses conflict. Port 0 is a different free port each time; an unspecified address uses its port on
/// all addresses.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let everywhere = |ip: IpAddr| ip.is_unspecified();
    a.port() != 0 && a.port() == b.port() && (a.ip() == b.ip() || everywhere(a.ip()) || everywhere(b.ip()))
}

fn tls(field: &Field<'_>, context: Context<'_>) -> Option<TlsSettings> {
    let mut section = field.table()?;
    let cert = section.require("cert", Fault::MissingTlsFile, |field| field.file(context.base));
    let key = section.require("key", Fault::MissingTlsFile, |field| field.file(context.base));
    section.finish();
    Some(TlsSettings { cert: cert?, key: key? })
}
