//! The table of pages: where each is, and what makes it. A new page is a line here, and a file.
//!
//! Everything below `/ui` is kept for pages, on whatever host: no repository, package or file has an address there. What the
//! table does not have is answered there as an unknown address is.

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

/// A page: its address, in which `{name}` stands for any one segment, and what makes it of a visit.
#[derive(Debug)]
struct Entry {
    at: &'static str,
    handler: Handler,
}

static PAGES: &[Entry] = &[
    Entry { at: "oauth/device", handler: |visit| Box::pin(device(visit)) },
    Entry { at: "ui/second-factor", handler: |visit| Box::pin(second_factor(visit)) },
];

/// The address of a page that there is.
#[derive(Clone, Debug)]
pub struct PageAddress {
    page: &'static Entry,
    /// What stands in the place of each `{name}`, decoded.
    names: Vec<(&'static str, String)>,
}

impl PartialEq for PageAddress {
    fn eq(&self, other: &Self) -> bool {
        self.page.at == other.page.at && self.names == other.names
    }
}

impl Eq for PageAddress {}

/// What a path is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A page.
    Page(PageAddress),
    /// An address that is kept for pages, and no page.
    Unknown,
    /// None of a page.
    Elsewhere,
}

/// Reads a path as it came: percent-encoded, without the query. Empty segments do not count. Pure.
pub fn find(path: &str) -> Place {
    find_in(PAGES, path)
}

fn find_in(pages: &'static [Entry], path: &str) -> Place {
    // Every request is asked this, and hardly any is about a page: mostly the first letter tells.
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
    // Hardly any segment has an escape, and this is asked of every request.
    if segment.contains('%') { percent_decode_str(segment).decode_utf8().ok() } else { Some(Cow::Borrowed(segment)) }
}

impl Entry {
    /// The address of this page that these segments are.
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

/// Who looks at a page, and what was sent with it.
#[derive(Clone, Debug)]
pub struct Visit {
    /// Which page.
    pub address: PageAddress,
    /// Who looks. Nobody in particular: pages have no log-in, and keys of the API do not open them.
    pub caller: Caller,
    /// From where.
    pub client: IpAddr,
    /// The fields of the address, or, where the form was sent, those of its body alone: a link must not fill in what its
    /// user has not.
    pub fields: HashMap<String, String>,
    /// Whether a form was sent.
    pub is_sent: bool,
    /// All accounts.
    pub accounts: Arc<Accounts>,
    /// All repositories.
    pub catalog: Arc<Catalog>,
    /// Scheme and authority under which people reach us, without a slash at the end.
    pub public_url: Arc<str>,
}

impl Visit {
    /// The page.
    pub async fn page(&self) -> Page {
        (self.address.page.handler)(self).await
    }

    /// What stands in the address in the place of `{name}`; empty where the page has no such name.
    pub fn name(&self, name: &str) -> &str {
        self.address.names.iter().find(|(one, _)| *one == name).map(|(_, text)| text.as_str()).unwrap_or_default()
    }

    /// A field; empty where there is none.
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
