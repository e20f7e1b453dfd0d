//! The table of pages: the path and the handler of each. To add a page, add a line here and a file.
//!
//! All paths below `/ui` are reserved for pages on every host: repositories, packages and files have no paths there. A
//! path below `/ui` that is not in the table is answered with 404.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use percent_encoding::percent_decode_str;

use super::device::device;
use super::page::Page;
use super::second_factor::second_factor;
use crate::auth::{Accounts, Caller};
use crate::hex::name;
use crate::repository::Catalog;

type Handler = for<'a> fn(&'a Visit) -> BoxFuture<'a, Page>;

/// A page: its path, in which `{name}` matches any one segment, and its handler.
#[derive(Debug)]
struct Entry {
    at: &'static str,
    handler: Handler,
}

static PAGES: &[Entry] = &[
    Entry { at: "oauth/device", handler: |visit| Box::pin(device(visit)) },
    Entry { at: "ui/second-factor", handler: |visit| Box::pin(second_factor(visit)) },
];

/// The address of an existing page.
#[derive(Clone, Debug)]
pub struct PageAddress {
    page: &'static Entry,
    /// The decoded segments that matched each `{name}`.
    names: Vec<(&'static str, String)>,
}

impl PartialEq for PageAddress {
    fn eq(&self, other: &Self) -> bool {
        self.page.at == other.page.at && self.names == other.names
    }
}

impl Eq for PageAddress {}

/// The kind of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The path of a page.
    Page(PageAddress),
    /// A path that is reserved for pages, but has no page.
    Unknown,
    /// Not the path of a page.
    Elsewhere,
}

/// Classifies a path, given percent-encoded and without the query. Empty segments are ignored. Pure.
pub fn find(path: &str) -> Place {
    find_in(PAGES, path)
}

fn find_in(pages: &'static [Entry], path: &str) -> Place {
    // This runs for every request, and few of them are for pages: most are decided by their first letter.
    let letter = path.bytes().find(|byte| *byte != b'/');
    let kept = pages.iter().map(|page| page.at).chain([name::PAGES]);
    if letter != Some(b'%') && kept.filter_map(|at| at.bytes().next()).all(|first| letter != Some(first)) {
        return Place::Elsewhere;
    }
    let segments = || path.split('/').filter(|segment| !segment.is_empty());
    let Some(first) = segments().next().and_then(decoded) else { return Place::Elsewhere };
    let may_be = |page: &&'static Entry| page.at.strip_prefix(&*first).is_some_and(|rest| rest.starts_with('/'));
    match pages.iter().filter(may_be).find_map(|page| page.address(segments())) {
        Some(address) => Place::Page(address),
        None if first == name::PAGES => Place::Unknown,
        None => Place::Elsewhere,
    }
}

fn decoded(segment: &str) -> Option<Cow<'_, str>> {
    // Few segments contain an escape, and this runs for every request.
    if segment.contains('%') { percent_decode_str(segment).decode_utf8().ok() } else { Some(Cow::Borrowed(segment)) }
}

impl Entry {
    /// The address of this page, if the segments match its path.
    fn address<'a>(&'static self, mut segments: impl Iterator<Item = &'a str>) -> Option<PageAddress> {
        let mut names = Vec::new();
        for part in self.at.split('/') {
            let segment = decoded(segments.next()?)?;
            match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
                Some(name) => names.push((name, segment.into_owned())),
                None if segment == part => {}
                None => return None,
            }
        }
        segments.next().is_none().then_some(PageAddress { page: self, names })
    }
}

/// A request for a page: the client and the form fields.
#[derive(Clone, Debug)]
pub struct Visit {
    /// The page that the client requests.
    pub address: PageAddress,
    /// The caller, always anonymous: pages have no session, and API keys do not open them.
    pub caller: Caller,
    /// The IP address of the client.
    pub client: IpAddr,
    /// The query parameters or, if a form was submitted, only the fields of its body: a link must not fill in fields
    /// that the user did not.
    pub fields: HashMap<String, String>,
    /// Whether a form was submitted.
    pub is_sent: bool,
    /// All accounts.
    pub accounts: Arc<Accounts>,
    /// All repositories.
    pub catalog: Arc<Catalog>,
    /// Scheme and authority of this server as clients use them, without a trailing slash.
    pub public_url: Arc<str>,
}

impl Visit {
    /// Runs the handler of the page.
    pub async fn page(&self) -> Page {
        (self.address.page.handler)(self).await
    }

    /// The segment of the address that matched `{name}`; empty if the page has no such name.
    pub fn name(&self, name: &str) -> &str {
        self.address.names.iter().find(|(one, _)| *one == name).map(|(_, text)| text.as_str()).unwrap_or_default()
    }

    /// A form field; empty if it is missing.
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).map(String::as_str).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use maud::html;

    use super::super::page::page;
    use super::*;

    static TEST: &[Entry] = &[
        Entry { at: "ui/repos/{repository}/packages/{name}", handler: |visit| Box::pin(named(visit)) },
        Entry { at: "ui/repos", handler: |visit| Box::pin(named(visit)) },
    ];

    async fn named(visit: &Visit) -> Page {
        page(StatusCode::OK, &html! { (visit.name("repository")) " " (visit.name("name")) })
    }

    #[test]
    fn each_page_is_found_at_its_address_and_the_rest_below_ui_is_nothing() {
        for (path, expected) in [
            ("/ui/repos/acme/packages/a%2Bb", Some(&[("repository", "acme"), ("name", "a+b")][..])),
            ("//ui//repos/", Some(&[])),
            ("/%75i/repos", Some(&[])),
            // Decoded once.
            ("/ui/repos/%252F/packages/x", Some(&[("repository", "%2F"), ("name", "x")])),
            ("/ui", None),
            ("/ui/", None),
            ("/ui/repos/acme", None),
            ("/ui/repos/acme/packages/x/y", None),
            ("/ui/repos/%ff/packages/x", None),
            ("/ui/names", None),
        ] {
            match (find_in(TEST, path), expected) {
                (Place::Page(found), Some(names)) => {
                    let found: Vec<_> = found.names.iter().map(|(name, text)| (*name, text.as_str())).collect();
                    assert_eq!(found, names, "{path}");
                }
                (found, expected) => assert!(found == Place::Unknown && expected.is_none(), "{path}: {found:?}"),
            }
        }
        for path in ["", "/", "/names", "/uis", "/packages/ui", "/repos/ui/names", "/oauth", "/oauth/token", "/%ff"] {
            assert_eq!(find(path), Place::Elsewhere, "{path}");
        }
        for path in ["/oauth/device", "/ui/second-factor"] {
            assert!(matches!(find(path), Place::Page(_)), "{path}");
        }
    }
}
