//! What a caller is shown of packages, releases, their people and their past: already without what the caller's rights, the
//! rules for names and policies leave out.
//!
//! The values that hold it are made here alone, and what they are made of does not leave `repository`. So whoever shows
//! them, as JSON or as a page, cannot forget to leave something out.

mod audit;
mod owners;
mod package;
mod package_home;
mod release;
mod search;

pub use super::remote::FoundName;
pub use owners::{OwnersView, PackageOwners, UpstreamUser};
pub use package::{PackageContent, PackageView};
pub use release::{ReleaseContent, ReleaseView};
pub use search::{FoundPackages, PackageSearch, SearchIn};

use super::private_text::TypedText;
use super::{Catalog, RequestContext};

/// What an answer is made from: the repositories of one configuration, within the time of one request.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    /// The repositories.
    pub catalog: &'a Catalog,
    /// The request.
    pub context: RequestContext,
}

impl Reading<'_> {
    /// Whether a text names something that is private on this server. It is looked for in all repositories, whichever is
    /// asked: an upstream that is told has been told.
    async fn is_named_privately(self, text: &str) -> bool {
        let text = TypedText::of(text);
        for repository in self.catalog.iter() {
            if repository.is_named_privately(&text, self.context).await {
                return true;
            }
        }
        false
    }
}
