//! Reads the section `installs`.

use super::Context;
use super::remote::{proxy, public_key_list, upstream_url};
use crate::config::fields::Section;
use crate::config::settings::InstallsSettings;
use crate::config::url::Url;
use crate::config::{bounds, defaults};

pub(super) fn installs(mut section: Section<'_>, context: Context<'_>) -> InstallsSettings {
    let settings = InstallsSettings {
        url: section.get("url", defaults::INSTALLS_URL.to_owned(), |field| {
            upstream_url(field).as_ref().map(Url::without_user_info)
        }),
        ttl: section.get("ttl", defaults::INSTALLS_TTL, |field| field.duration(&bounds::INSTALLS_TTL)),
        public_keys: section.optional("public_key", |field| Some(public_key_list(field, context))).unwrap_or_default(),
        proxy: section.optional("proxy", proxy),
        ca_file: section.optional("ca_file", |field| field.file(context.base)),
    };
    section.finish();
    settings
}
